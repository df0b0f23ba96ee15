"""What a trade costs once there is ten times as much of something: trades held, symbols, commits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.catch_up import OURS, carried, published_in
from benchmarks.load import Load
from benchmarks.site import site

TIMES = 10
SYMBOLS = 400


@dataclass(frozen=True)
class Held:
    """What a lake holds before the trades that are measured come.

    Args:
        name: of the case.
        trades: how many.
        symbols: of how many symbols, those to come included.
        commits: about how many batches brought them.
    """

    name: str
    trades: int
    symbols: int
    commits: int


def cases(trades: int, commits: int) -> list[Held]:
    """A lake to begin with, and three that differ from it in one thing each."""
    base = Held("base", trades, SYMBOLS, commits)
    return [
        base,
        replace(base, name="trades x10", trades=TIMES * trades),
        replace(base, name="symbols x10", symbols=TIMES * SYMBOLS),
        replace(base, name="commits x10", commits=TIMES * commits),
    ]


def growth(folder: Path, trades: int = 50_000, commits: int = 10, measured: int = 200_000) -> dict[str, Any]:
    """Fill a lake for each case, and measure what the next trades cost; the first of four batches warms Spark up.

    Args:
        folder: for everything.
        trades: in the lake to begin with.
        commits: of them.
        measured: the trades that follow.
    """
    found = [_measured(folder / held.name.replace(" ", "-"), held, measured) for held in cases(trades, commits)]
    base = found[0]["warm_frames_per_s"]
    return {"cases": [each | {"time_per_trade": round(base / each["warm_frames_per_s"], 2)} for each in found]}


def _measured(folder: Path, held: Held, trades: int) -> dict[str, Any]:
    with site(folder) as at:
        before = Load(held.trades, symbols=held.symbols)
        published_in(at, before)
        filling = at.lake(OURS, **_batches_of(held.trades // held.commits))
        filled = carried(at, filling, [before])
        following = before.then(trades)
        published_in(at, following)
        run = carried(at, at.lake(OURS, **_batches_of(trades // 4)), [before, following])
    return {"name": held.name, "held": {"trades": held.trades, "symbols": held.symbols}, "filled": filled} | run


def _batches_of(frames: int) -> dict[str, str]:
    return {"CRYPTOLAKE__LAKE__MAX_OFFSETS_PER_TRIGGER": str(frames)}
