"""Commands that fetch what a venue has of the past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptolake.commands.options import brokers, settings_of
from cryptolake.logs import log_to
from cryptolake.signals import stop_on_signals

app = typer.Typer(name="backfill", invoke_without_command=True, no_args_is_help=False)


@app.callback()
def backfill(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Take what is open now, then end.")] = False,
) -> None:
    """Fetch the trades that open gaps name, until Ctrl-C; or candles, or a dump.

    Example: cryptolake backfill --once
    """
    if context.invoked_subcommand is not None:
        return
    from cryptolake.commands.venues import settings_for_venues

    settings = settings_for_venues(settings_of(context), "binance")
    log_to()
    from cryptolake.backfill import backfill_gaps

    with brokers(settings) as bootstrap_servers, stop_on_signals() as stop:
        told = backfill_gaps(settings, bootstrap_servers, stop, once=once)
    lost = f", {told.given_up:,} ids are beyond the venue's horizon" if told.given_up else ""
    typer.echo(f"{told.holes:,} holes: {told.trades:,} trades published{lost}; next: cryptolake run --until-idle")


@app.command()
def klines(
    context: typer.Context,
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
        typer.echo(f"klines: {done} of {symbols} symbols ({symbol})", err=True)

    with brokers(settings) as bootstrap_servers, stop_on_signals() as stop:
        told = backfill_klines(settings, bootstrap_servers, days=days, progress=progress, stop=stop)
    typer.echo(f"klines: {told.candles:,} candles of {told.symbols} symbols published")


@app.command()
def dump(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="as the venue names it: BTCUSDT-trades-2024-08-09.zip")],
    symbol: Annotated[str | None, typer.Option(help="The venue's symbol, when the name of the file lacks it.")] = None,
) -> None:
    """Publish a day of trades from data.binance.vision; what silver has already stays as it is.

    Example: cryptolake backfill dump BTCUSDT-trades-2024-08-09.zip
    """
    from cryptolake.commands.venues import take_home

    settings = settings_of(context)
    from bronze.dump import open_dump, publish_dump

    opened = open_dump(file, symbol)
    take_home(settings, "real")
    with brokers(settings) as bootstrap_servers:
        told = publish_dump(opened, settings, bootstrap_servers)
    typer.echo(f"{file}: {told.lines:,} lines of {opened.symbol} published; next: cryptolake run --until-idle")
