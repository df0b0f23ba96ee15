"""`<home>/simulator/state.json`: what a restart needs beside ledger and store."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lakehouse.errors import CryptolakeError
from lakehouse.settings import SimulatorMarketSettings


class SymbolState(BaseModel):
    """A symbol that is live.

    Args:
        live_since_us: from here its trades come from the ledger, before from the seed.
        first_live_id: id of its first live trade.
        next_id: id of the next one when this was written (the ledger knows better).
        last_price: price of the last one then, for people to read.
    """

    live_since_us: int
    first_live_id: int
    next_id: int
    last_price: str | None = None


class MarketState(BaseModel):
    """Everything in state.json.

    Args:
        seed: of the market; a home keeps its seed.
        market: its parameters; a home keeps them, as its past follows from them.
        clock_us: the market's time when this was written.
        ledger_bytes: length of the ledger then.
        binance: live symbols by name.
        coincap: running number of the last trade of each live exchange, by venue.
        bybit: the same of each category.
        bybit_symbols: live symbols of each category.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int
    market: SimulatorMarketSettings
    clock_us: int = 0
    ledger_bytes: int = 0
    binance: dict[str, SymbolState] = {}
    coincap: dict[str, int] = {}
    bybit: dict[str, int] = {}
    bybit_symbols: dict[str, list[str]] = {}


def read_state(path: Path, seed: int, market: SimulatorMarketSettings) -> MarketState:
    """Read the state of a home, or begin one.

    Raises:
        CryptolakeError: the file is broken, or was written for another seed or another market.
    """
    if not path.exists():
        return MarketState(seed=seed, market=market)
    try:
        state = MarketState.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CryptolakeError(f"{path} cannot be read: {error.errors()[0]['msg']}", "Use a new --home.") from None
    if (state.seed, state.market) != (seed, market):
        raise CryptolakeError(
            f"{path} belongs to a market with seed {state.seed} or other parameters",
            "Start it with the same seed and settings `simulator.market`, or use a new --home.",
        )
    return state


def write_atomically(path: Path, content: object) -> None:
    """Write JSON so that a reader, or a restart after a crash, finds the old or the new text and never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(beside, path)
