"""The command that brings a tape in, and those that prove and check what came."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cryptolake.commands.options import brokers, moment_us, seconds, settings_of
from cryptolake.signals import stop_on_signals
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from cryptolake.audit.reach import Since


class CheckFormat(StrEnum):
    """How a check is printed."""

    TABLE = "table"
    JSON = "json"


def replay(
    context: typer.Context,
    tape: Annotated[Path, typer.Argument(help="JSON lines, plain or .gz", exists=True, dir_okay=False, readable=True)],
    venue: Annotated[str, typer.Option(help="The source that recorded it: binance, bybit or coincap.")],
) -> None:
    """Publish a recorded tape as if it came live.

    Example: cryptolake replay tape.jsonl.gz --venue binance
    """
    from cryptolake.commands.venues import known_source, take_home

    settings = settings_of(context)
    known_source(venue)
    take_home(settings, "real")
    from bronze.tape import replay as replay_tape

    with brokers(settings) as bootstrap_servers:
        told = replay_tape(tape, venue, settings, bootstrap_servers)
    topics = ", ".join(f"{topic} {count:,}" for topic, count in sorted(told.topics.items()))
    typer.echo(f"{tape}: {told.frames:,} frames published ({topics}); next: cryptolake run --until-idle")


def audit(
    context: typer.Context,
    ledger: Annotated[
        Path | None,
        typer.Option(help="The simulator's ledger, to compare with.", exists=True, dir_okay=False, readable=True),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(parser=moment_us, help="Only what came since then: 2h, 30m, or a time (UTC).", metavar="WHEN"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One document of JSON; with --watch a line a round.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Audit all, then what came since, until Ctrl-C; failures go to gold.alerts.")
    ] = False,
    every: Annotated[float | None, typer.Option(parser=seconds, help="Time between rounds of --watch (60).")] = None,
) -> None:
    """Prove every table from the one above it, with a second engine.

    Example: cryptolake audit --since 2h
    """
    if ledger and (since is not None or watch):
        raise typer.BadParameter("a ledger is compared with the whole lake: leave out --since and --watch, or --ledger")
    if every is not None and not watch:
        raise typer.BadParameter("--every is the time between rounds of --watch")
    settings = settings_of(context)
    from cryptolake.audit.console import print_json, print_report
    from cryptolake.audit.reach import Since
    from cryptolake.audit.run import audit as run_audit

    scope = None if since is None else Since(since)
    if watch:
        _watch_audits(settings, scope, 60.0 if every is None else every, as_json)
    report = run_audit(settings, ledger, scope)
    raise typer.Exit(print_json(report) if as_json else print_report(report))


def _watch_audits(settings: Settings, since: Since | None, every_s: float, as_json: bool) -> NoReturn:
    from functools import partial
    from threading import Event

    from rich.console import Console

    from cryptolake.audit.console import print_round, print_round_json
    from cryptolake.audit.watch import Watch

    watch, tell = Watch(settings, since), partial(print_round_json if as_json else print_round, console=Console())
    try:
        # An audit of a great lake takes minutes: a signal breaks it off, and only commits of alerts are whole.
        watch.run(every_s, tell, Event())
    except KeyboardInterrupt:
        pass
    raise typer.Exit(0 if watch.clean else 1)


def quality(
    context: typer.Context,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="How far back from the newest row of each table (default 10).")
    ] = None,
    every: Annotated[float, typer.Option(parser=seconds, help="Time between two checks: 300, 30s, 5m.")] = 300.0,
    times: Annotated[int, typer.Option(min=0, help="How many checks; 0 until Ctrl-C.")] = 1,
    form: Annotated[CheckFormat, typer.Option("--format", help="table or json (lines)")] = CheckFormat.TABLE,
    report: Annotated[Path | None, typer.Option(help="A page of the latest check (HTML).", dir_okay=False)] = None,
) -> None:
    """Check the newest rows of silver by its quality rules; a broken one ends with 1.

    Example: cryptolake quality --report quality.html
    """
    settings = settings_of(context)
    from functools import partial

    from rich.console import Console

    from cryptolake.quality.console import print_json, print_table
    from cryptolake.quality.run import check_quality

    tell = partial(print_table if form is CheckFormat.TABLE else print_json, console=Console())
    with stop_on_signals() as stop:
        clean = check_quality(
            settings, minutes=minutes, every_s=every, times=times, report=report, tell=tell, stop=stop
        )
    raise typer.Exit(0 if clean else 1)
