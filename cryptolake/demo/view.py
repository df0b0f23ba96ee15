"""The console: what is coming up, what flows, what is predicted; drawn from a snapshot for any width and height."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cryptolake import formatting as as_text
from cryptolake.demo.snapshot import BarLine, PredictionLine, Score, Snapshot
from cryptolake.demo.stages import Stage, Stages

WIDE, NARROW = 110, 78
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"waiting": ("·", "dim"), "done": ("✔", "green"), "skipped": ("✔", "dim"), "failing": ("✘", "bold red")}
_WAY = (
    ("bronze.frames", "bronze"),
    ("silver.trades", "trades"),
    ("silver.one_minute_bars", "bars"),
    ("gold.predictions", "predictions"),
)
# The most important first: what does not fit is left out.
_BESIDE = (("silver.quarantine", "quarantine"), ("silver.tickers", "tickers"), ("silver.prices", "prices"))
_LEAST_ROWS = 3


@dataclass(frozen=True)
class Scene:
    """All that is drawn at one moment.

    Args:
        snapshot: the lake.
        stages: what is coming up.
        clock_s: seconds since the start.
        hints: commands to try next, with what they do.
    """

    snapshot: Snapshot
    stages: Stages
    clock_s: float
    hints: tuple[tuple[str, str], ...]


def draw(scene: Scene, width: int, height: int) -> RenderableType:
    """Draw the whole console so that it fits."""
    snapshot = scene.snapshot
    lines: list[Text] = [headline(scene, width), Text("─" * width, style="dim")]
    if not scene.stages.over:
        lines += [*stage_lines(scene, width), Text("")]
    lines += [*flow(snapshot, width), Text("")]
    last = [Text(""), Text(score_text(snapshot), overflow="ellipsis", no_wrap=True)]
    box_height = len(scene.hints) + 2
    # What is coming up matters more than hints, and hints more than the tenth symbol.
    free = height - len(lines) - len(last) - 1
    with_box = free - box_height >= (_LEAST_ROWS + 1 if snapshot.bars else 0)
    rows = free - (box_height if with_box else 1) - 1
    middle: list[RenderableType] = [symbols(snapshot, width, rows)] if snapshot.bars and rows > 0 else []
    bottom = hint_box(scene, width) if with_box else Text("Ctrl-C stops all; nothing is lost", style="dim")
    return Group(*lines, *middle, *(last if snapshot.bars or snapshot.test_scores else []), bottom)


def headline(scene: Scene, width: int) -> Text:
    """What this is, and what it is not."""
    minutes, seconds = divmod(int(scene.clock_s), 60)
    left, right = "cryptolake", f"{minutes}:{seconds:02d}"
    label = " SIMULATED "
    told = " not financial advice" if width >= 60 else ""
    pad = max(2, width - len(left) - len(label) - len(told) - len(right))
    gap = " " * (pad // 2)
    rest = " " * (pad - pad // 2)
    return Text.assemble((left, "bold"), gap, (label, "bold reverse"), told, rest, (right, "dim"))


def stage_lines(scene: Scene, width: int) -> list[Text]:
    """Every stage with when it was done; what fails says why."""
    lines = []
    for stage in scene.stages.all:
        mark, style = _MARKS.get(stage.state, (_SPIN[int(scene.clock_s * 2) % len(_SPIN)], "bold"))
        when = "" if stage.done_at_s is None else f"{stage.done_at_s:.0f} s"
        name = "bold" if stage.state in ("working", "failing") else ""
        line = Text.assemble((mark, style), " ", (f"{stage.name:12}", name), (f"{when:>5}  {_detail(stage)}", "dim"))
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
        if stage.state == "failing":
            problem = Text(f"    {stage.detail}", style="red")
            problem.truncate(2 * width, overflow="ellipsis")
            lines += [Text(part, style="red") for part in _cut(problem.plain, width)]
    return lines


def flow(snapshot: Snapshot, width: int) -> list[Text]:
    """How fast the data moves, how old they are, and how far each table is."""
    old = "bold red" if (snapshot.data_age_s or 0) > 60 else "bold"
    pairs = [
        ("frames/s", as_text.count(snapshot.frames_per_s), "bold"),
        ("spool", as_text.short(snapshot.unacked), "bold"),
        ("Kafka lag", as_text.short(snapshot.lag), "bold"),
        ("newest trade", as_text.age(snapshot.data_age_s), old),
        ("batch", "-" if snapshot.batch_s is None else f"{snapshot.batch_s:.1f} s", "bold"),
    ]
    first = Text("   ").join(Text.assemble((f"{name} ", "dim"), (value, style)) for name, value, style in pairs)
    versions = {line.name: line.version for line in snapshot.tables}
    parts = []
    for table, name in _WAY:
        part = Text.assemble((f"{name} ", "dim"), (as_text.short(snapshot.rows_of(table)), "bold"))
        if width >= WIDE and table in versions:
            part.append(f" v{versions[table]}", style="dim")
        parts.append(part)
    second = Text(" → ", style="dim").join(parts)
    beside = [(name, snapshot.rows_of(table)) for table, name in _BESIDE]
    beside.insert(1, ("open gaps", snapshot.open_gaps))
    for name, rows in beside:
        part = Text.assemble((f"   {name} ", "dim"), (as_text.short(rows), "bold"))
        if rows and second.cell_len + part.cell_len <= width:
            second.append_text(part)
    found = [first, second, *([sources(snapshot, width)] if snapshot.sources else [])]
    for line in found:
        line.truncate(width, overflow="ellipsis")
    return found


def sources(snapshot: Snapshot, width: int) -> Text:
    """What every source has brought since its collector started, and how long ago the last of it came."""
    forms = [_sources(snapshot, label, ages) for label, ages in ((True, True), (False, True), (False, False))]
    return next((form for form in forms if form.cell_len <= width), forms[-1])


def _sources(snapshot: Snapshot, label: bool, ages: bool) -> Text:
    parts = []
    for line in snapshot.sources:
        part = Text.assemble((f"{line.name} ", "dim"))
        part.append(as_text.short(line.frames), style="bold" if line.connected else "bold red")
        if ages:
            part.append(f" {as_text.age(line.age_s)}", style="dim")
        parts.append(part)
    joined = Text("   " if label else "  ").join(parts)
    return Text.assemble(("frames, age of the last   ", "dim"), joined) if label else joined


def symbols(snapshot: Snapshot, width: int, rows: int) -> Table:
    """The last closed minute of the greatest symbols, and what is predicted for each."""
    wide, narrow = width >= WIDE, width < NARROW
    table = Table(box=None, pad_edge=False, header_style="dim", expand=wide)
    for name in ("symbol", *(() if narrow else ("UTC",))):
        table.add_column(name, no_wrap=True)
    for name in ("close", "1 min %", "6 min %", *(("volume", "amount", "trades") if wide else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("says", "until", *(() if narrow else ("last one",))):
        table.add_column(name, no_wrap=True)
    said = {line.symbol: line for line in snapshot.predictions}
    for line in snapshot.bars[:rows]:
        cells = [*_bar(line), *(_totals(line) if wide else []), *_prediction(said.get(line.symbol), outcome=not narrow)]
        table.add_row(*(cells[:1] + cells[2:] if narrow else cells))
    return table


def score_text(snapshot: Snapshot) -> str:
    """The score in words: live where predictions have matured, else that of the test in training."""
    live: Score | None = snapshot.score
    if live is not None and live.n:
        shares = (_share(live.model), _share(live.majority), _share(live.last_direction))
        return "right in {:,} matured: model {}, majority {}, last direction {}".format(live.n, *shares)
    test = snapshot.test_scores.get("accuracy")
    if test is None:
        return "no model yet"
    waiting = f" ({live.pending:,} pending)" if live is not None and live.pending else ""
    told = [_share(test[name]) for name in ("value", "baseline_majority", "baseline_last_direction")]
    return "right in the test: model {}, majority {}, last direction {}".format(*told) + waiting


def hint_box(scene: Scene, width: int) -> RenderableType:
    """What to try next; a command is never cut short, what it does is."""
    longest = max(len(command) for command, _ in scene.hints)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=min(longest, width - 4))
    with_meaning = width - longest - 8 >= 10
    if with_meaning:
        table.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    for command, meaning in scene.hints:
        table.add_row(Text(command, style="bold"), *([meaning] if with_meaning else []))
    return Panel(table, title="try next, in another terminal", title_align="left", box=ROUNDED, border_style="dim")


def _detail(stage: Stage) -> str:
    if stage.state == "failing" or not stage.detail:
        return stage.meaning
    return f"{stage.meaning}: {stage.detail}"


def _cut(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)]


def _bar(line: BarLine) -> list[RenderableType]:
    trend = None if line.trend_pct is None else float(line.trend_pct)
    moment = as_text.clock(line.minute)
    return [line.symbol, moment, as_text.price(line.close), _change(line.change_pct), _change(trend)]


def _totals(line: BarLine) -> list[RenderableType]:
    return [as_text.quantity(line.volume), as_text.quantity(line.amount), as_text.count(line.trades)]


def _prediction(line: PredictionLine | None, *, outcome: bool) -> list[RenderableType]:
    if line is None:
        return [Text("-", style="dim")]
    up = line.direction == "up"
    chance = line.probability if up else 1 - line.probability
    arrow = as_text.UP if up else as_text.DOWN
    says = Text(f"{arrow} {line.direction:4} {100 * chance:.0f} %", style="green" if up else "red")
    cells: list[RenderableType] = [says, as_text.clock(line.target_time)]
    if outcome and line.last_outcome is not None:
        cells.append(Text("right", style="green") if line.last_outcome else Text("wrong", style="red"))
    return cells


def _change(value: float | None) -> Text:
    if value is None:
        return Text("-", style="dim")
    rounded = round(value, 2)
    return Text(f"{as_text.arrow(rounded)} {rounded:+.2f}", style=as_text.colour(rounded))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
