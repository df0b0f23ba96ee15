"""Commands that bring data in, and the one that proves them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryptolake.commands.options import brokers, settings_of
from cryptolake.logs import log_to
from cryptolake.signals import stop_on_signals


class BackfillKind(StrEnum):
    """What can be fetched from a venue's past."""

    KLINES = "klines"


def replay(
    context: typer.Context,
    tape: Annotated[Path, typer.Argument(help="JSON lines, plain or .gz", exists=True, dir_okay=False, readable=True)],
    venue: Annotated[str, typer.Option(help="The source that recorded it: binance or coincap.")],
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


def backfill(
    context: typer.Context,
    kind: Annotated[BackfillKind, typer.Argument(help="what to fetch")],
    days: Annotated[int, typer.Option(min=1, max=365, help="How far back.")] = 2,
) -> None:
    """Fetch a venue's closed candles into Kafka.

    Example: cryptolake backfill klines --days 2
    """
    from cryptolake.commands.venues import settings_for_venues

    settings = settings_for_venues(settings_of(context), "binance")
    log_to()
    from bronze.klines import backfill_klines

    def progress(done: int, symbols: int, symbol: str) -> None:
        typer.echo(f"{kind.value}: {done} of {symbols} symbols ({symbol})", err=True)

    with brokers(settings) as bootstrap_servers, stop_on_signals() as stop:
        told = backfill_klines(settings, bootstrap_servers, days=days, progress=progress, stop=stop)
    typer.echo(f"{kind.value}: {told.candles:,} candles of {told.symbols} symbols published")


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
