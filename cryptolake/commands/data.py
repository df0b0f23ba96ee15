"""The command that brings a tape in, and the one that proves what came."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptolake.commands.options import brokers, settings_of


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
) -> None:
    """Prove every table from the one above it, with a second engine.

    Example: cryptolake audit
    """
    settings = settings_of(context)
    from cryptolake.audit.run import audit as run_audit
    from cryptolake.audit.run import print_report

    raise typer.Exit(print_report(run_audit(settings, ledger)))
