"""`python -m simulator`: run the simulated market of a home."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from lakehouse.errors import CryptolakeError, SettingsError
from lakehouse.settings import SimulatorSettings, load_settings
from simulator.catalogue import CATALOGUE
from simulator.server import serve

Flag = typer.Option


def main(
    home: Annotated[Path | None, Flag(help="Home folder; state and store go to <home>/simulator.")] = None,
    ledger: Annotated[Path | None, Flag(help="Ledger file [<home>/simulator/ledger.jsonl].")] = None,
    port_file: Annotated[Path | None, Flag(help="Gets pid, port and URLs as JSON once the port is open.")] = None,
    seed: Annotated[int | None, Flag(help="The whole past follows from it.")] = None,
    symbols: Annotated[int | None, Flag(help=f"How many symbols are listed, 1 to {len(CATALOGUE)}.")] = None,
    rate: Annotated[float | None, Flag(help="Binance trades a second over all live symbols.")] = None,
    coincap_rate: Annotated[float | None, Flag(help="Trades a second of each CoinCap exchange.")] = None,
    bybit_rate: Annotated[float | None, Flag(help="Trades a second of each Bybit category.")] = None,
    start_back_s: Annotated[float | None, Flag(help="Start the clock this long before now.")] = None,
    speed: Annotated[float | None, Flag(help="Market seconds a second until the clock shows now.")] = None,
    port: Annotated[int | None, Flag(help="Port on loopback; 0 takes a free one.")] = None,
    faults: Annotated[str, Flag(help="Faults from the start: key=value,... of settings simulator.faults.")] = "",
    limits: Annotated[str, Flag(help="Other limits: key=value,... of settings simulator.limits.")] = "",
) -> None:
    """Run a market that speaks Binance's, Bybit's and CoinCap's protocols on loopback, until SIGTERM."""
    flags = {
        "seed": seed,
        "symbols": symbols,
        "rate_per_s": rate,
        "coincap_rate_per_s": coincap_rate,
        "bybit_rate_per_s": bybit_rate,
        "start_back_s": start_back_s,
        "speed": speed,
        "port": port,
    }
    try:
        settings = load_settings(home=home)
        chosen = _with_flags(settings.simulator, flags, faults, limits)
        folder = settings.home / "simulator"
        asyncio.run(serve(chosen, folder, ledger or folder / "ledger.jsonl", port_file))
    except CryptolakeError as error:
        print(f"simulator: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _with_flags(settings: SimulatorSettings, flags: dict[str, Any], faults: str, limits: str) -> SimulatorSettings:
    values = settings.model_dump() | {key: value for key, value in flags.items() if value is not None}
    for section, given in (("faults", faults), ("limits", limits)):
        pairs = (pair.partition("=") for pair in given.split(",") if pair)
        values[section] |= {key.strip(): value.strip() for key, _, value in pairs}
    try:
        return SimulatorSettings.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise SettingsError(f"Simulator: {problems}", "See `python -m simulator --help`.") from None


if __name__ == "__main__":
    typer.run(main)
