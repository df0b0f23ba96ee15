"""Runs the demo: processes, course and console in one loop."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.live import Live

from cryptolake.commands.venues import take_home
from cryptolake.demo.course import LATER_SOURCES, Course
from cryptolake.demo.lag import Lag
from cryptolake.demo.plain import PlainLines
from cryptolake.demo.snapshot import Snapshot, SnapshotReader
from cryptolake.demo.view import Scene, draw, score_text
from cryptolake.doctor.examination import examine_setup
from cryptolake.logs import log_to
from cryptolake.processes import collector_name, home_processes, simulator_ledger
from cryptolake.signals import stop_on_signals
from cryptolake.supervisor import Supervisor
from lakehouse.errors import SetupError
from lakehouse.settings import Settings

_TICK_S = 0.1
_LATER = {"backfill-gaps", *map(collector_name, LATER_SOURCES)}


def run_demo(settings: Settings, *, seconds: float | None, retrain: bool, console: Console | None = None) -> None:
    """Run the simulated market and the whole lake until Ctrl-C.

    Args:
        settings: the home; a simulated one.
        seconds: end by itself after this long; None goes on.
        retrain: train the model again though there is one.
        console: where to; standard output by default.

    Raises:
        CryptolakeError: something that is needed is missing or does not come up.
    """
    console = console or Console()
    _check_setup()
    log_to(settings.home / "logs" / "supervisor.log")
    take_home(settings, "simulated")
    processes = home_processes(settings, "simulated", _market_options(settings))
    later = [spec for spec in processes if spec.name in _LATER]
    supervisor = Supervisor(settings, [spec for spec in processes if spec not in later])
    lag = Lag(settings, settings.demo.read_every_s)
    with stop_on_signals() as stop:
        supervisor.start()
        supervisor.tick()
        lag.start()
        course = Course(settings, supervisor, later, retrain=retrain)
        try:
            snapshot = _loop(settings, supervisor, course, lag, console, _ending(stop, course, seconds))
        finally:
            lag.stop()
            began = time.monotonic()
            console.print("stopping: collectors, lake, market, broker ...", style="dim")
            supervisor.stop()
            console.print(f"stopped in {time.monotonic() - began:.1f} s; no process is left", style="dim")
    _farewell(console, settings, course, snapshot)


def hints(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Commands to try beside the demo, as they can be typed here."""
    command = own_command(settings)
    ledger = _short(simulator_ledger(settings))
    return (
        (command + " sql 'SELECT * FROM gold_bi.predictions LIMIT 5'", "SQL, no JVM"),  # noqa: S608 - text to type
        (f"{command} watch --every 60 --times 10", "each minute"),
        (f"{command} audit --ledger {ledger}", "prove it all"),
        (f"{command} sql-server", "for Tableau"),
        ("Ctrl-C here; the next `make demo` goes on from there", "stop all"),
    )


def own_command(settings: Settings) -> str:
    """How the user calls us: by name where it is on the path, else by the program's path."""
    program = sys.argv[0]
    if shutil.which("cryptolake"):
        program = "cryptolake"
    elif Path(program).name == "__main__.py":
        program = f"{_short(Path(sys.executable))} -m cryptolake"
    else:
        program = _short(Path(program))
    home = settings.home
    return program if str(home) == ".cryptolake" else f"{program} --home {shlex.quote(str(home))}"


def _loop(
    settings: Settings,
    supervisor: Supervisor,
    course: Course,
    lag: Lag,
    console: Console,
    over: Callable[[], bool],
) -> Snapshot:
    reader, snapshot, next_read_s = SnapshotReader(settings), Snapshot(), 0.0
    scene_hints = hints(settings)
    lines = PlainLines(lambda text: console.print(text, soft_wrap=True, highlight=False), settings.demo.plain_every_s)
    with ExitStack() as stack:
        live: Live | None = None
        if console.is_terminal:
            live = stack.enter_context(Live(console=console, screen=True, auto_refresh=False))
        else:
            lines_head = f"cryptolake demo: SIMULATED market, not financial advice; home {settings.home}"
            console.print(lines_head, soft_wrap=True, highlight=False)
        next_draw_s = 0.0
        while not over():
            supervisor.tick()
            clock_s = course.clock_s()
            if clock_s >= next_read_s:
                snapshot = reader.read(lag.records)
                next_read_s = clock_s + settings.demo.read_every_s
            course.tick(snapshot)
            if live is None:
                lines.show(course.stages, snapshot, clock_s)
            elif clock_s >= next_draw_s:
                scene = Scene(snapshot, course.stages, clock_s, scene_hints)
                live.update(draw(scene, console.width, console.height), refresh=True)
                next_draw_s = clock_s + settings.demo.refresh_s
    return snapshot


def _ending(stop: threading.Event, course: Course, seconds: float | None) -> Callable[[], bool]:
    return lambda: stop.wait(_TICK_S) or (seconds is not None and course.clock_s() >= seconds)


def _market_options(settings: Settings) -> dict[str, str]:
    demo = settings.demo
    return {"--rate": str(demo.rate_per_s), "--start-back-s": str(demo.start_back_s), "--speed": str(demo.speed)}


def _check_setup() -> None:
    for finding in examine_setup():
        if finding.verdict == "blocks":
            raise SetupError(f"{finding.subject}: {finding.seen}", finding.remedy)


def _farewell(console: Console, settings: Settings, course: Course, snapshot: Snapshot) -> None:
    ready = [stage.done_at_s for stage in course.stages.all if stage.done_at_s is not None]
    if course.stages.over:
        console.print(f"all stages were up after {max(ready):.0f} s", highlight=False)
    tables = ", ".join(f"{line.name} {line.rows:,}" for line in snapshot.tables)
    if tables:
        console.print(f"in {settings.home}: {tables}", highlight=False, soft_wrap=True)
        console.print(score_text(snapshot), highlight=False, soft_wrap=True)
    for line in (f"go on from here: {own_command(settings)} demo", f"start afresh: remove the folder {settings.home}"):
        console.print(line, highlight=False, soft_wrap=True)


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
