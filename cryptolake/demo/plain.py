"""The demo without a terminal: one line for each stage, then a few lines every few seconds."""

from __future__ import annotations

from collections.abc import Callable

from cryptolake import formatting as as_text
from cryptolake.demo.snapshot import Snapshot
from cryptolake.demo.stages import Stages
from cryptolake.demo.view import score_text, sources

_SYMBOLS = 3
_WIDTH = 200


class PlainLines:
    """Tells what has changed.

    Args:
        tell: prints one line.
        every_s: time between two looks at the figures.
    """

    def __init__(self, tell: Callable[[str], None], every_s: float) -> None:
        self._tell = tell
        self._every_s = every_s
        self._told: dict[str, tuple[str, str]] = {}
        self._next_s = every_s

    def show(self, stages: Stages, snapshot: Snapshot, clock_s: float) -> None:
        """Print what is new."""
        for stage in stages.all:
            now = (stage.state, stage.detail if stage.state == "failing" else "")
            if stage.state in ("done", "skipped", "failing") and self._told.get(stage.name) != now:
                self._told[stage.name] = now
                detail = f"{stage.meaning}{': ' if stage.detail else ''}{stage.detail}"
                self._tell(f"[{clock_s:6.1f} s] {stage.name:12} {stage.state:8} {detail}")
        if clock_s >= self._next_s:
            self._next_s = clock_s + self._every_s
            for line in figures(snapshot):
                self._tell(f"[{clock_s:6.1f} s] {line}")


def figures(snapshot: Snapshot) -> list[str]:
    """The figures of the console in a few lines."""
    rate, old = as_text.count(snapshot.frames_per_s), as_text.age(snapshot.data_age_s)
    lines = [
        f"frames/s {rate}, Kafka lag {as_text.count(snapshot.lag)}, newest trade {old} ago,"
        f" bronze {snapshot.rows_of('bronze.frames'):,}, trades {snapshot.rows_of('silver.trades'):,},"
        f" tickers {snapshot.rows_of('silver.tickers'):,}, prices {snapshot.rows_of('silver.prices'):,},"
        f" bars {snapshot.rows_of('silver.one_minute_bars'):,}, predictions {snapshot.rows_of('gold.predictions'):,}"
        + (f", open gaps {snapshot.open_gaps:,}" if snapshot.open_gaps else "")
    ]
    if snapshot.sources:
        lines.append(sources(snapshot, _WIDTH).plain)
    said = {line.symbol: line for line in snapshot.predictions}
    for bar in snapshot.bars[:_SYMBOLS]:
        line = f"{bar.symbol:10} {as_text.clock(bar.minute)} close {as_text.price(bar.close)}"
        line += f" ({as_text.percent(bar.change_pct, 2)}), {bar.trades:,} trades"
        if (prediction := said.get(bar.symbol)) is not None:
            line += f"; until {as_text.clock(prediction.target_time)} {prediction.direction}"
            line += f" (probability of up {prediction.probability:.2f})"
        lines.append(line)
    if snapshot.predictions or snapshot.test_scores:
        lines.append(score_text(snapshot))
    return lines
