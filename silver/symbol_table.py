"""The mapping of names in force: conf/symbols.yml, and above it what the venues say of themselves in silver.symbols."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from lakehouse.arrow import contract_schema
from lakehouse.conditions import Condition
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from silver.symbols import Pair, Symbols, load_symbols
from silver.tables import CANDLES, SYMBOLS, TRADES

log = logging.getLogger(__name__)
CONF = "conf"
Place = tuple[Any, ...]
PLACE = ("topic_id", "partition", "offset")


def listed_symbols(lake: Lake, but: Collection[Place] = ()) -> Symbols:
    """Read the mapping in force: a name once given stays, or the rows under it would be others than those to come.

    So the first that a venue has said of a name counts, unless rows were named by the name's text before that.

    Args:
        lake: where silver.symbols is.
        but: frames whose rows in it do not count: so it was when they were refined for the first time.
    """
    told = [row for row in lake.rows_where(SYMBOLS, []).to_pylist() if row["source"] != CONF]
    listed: dict[tuple[str, str], Pair] = {}
    for row in sorted(told, key=lambda row: (row["since"], row["offset"])):
        if tuple(row[name] for name in PLACE) not in but:
            listed.setdefault((row["venue"], row["venue_symbol"]), Pair(row["base"], row["quote"]))
    symbols = replace(load_symbols(), listed=listed)
    for name in _named_by_text(lake, symbols):
        log.warning(
            "binance lists %s as %s; silver has it as its text says, so that stays", name, symbols.of_binance(name)
        )
        del listed["binance", name]
    return symbols


def _named_by_text(lake: Lake, symbols: Symbols) -> set[str]:
    """Names that the venue lists otherwise than their text says, and of which silver has rows named by the text."""
    contradicted = symbols.contradicted
    if not contradicted:
        return set()
    by_text = {(name, pair.symbol) for name in contradicted if (pair := symbols.by_text(name))}
    found: set[tuple[str, str]] = set()
    for table in (TRADES, CANDLES):
        of_names: Condition = [("venue", "=", "binance"), ("venue_symbol", "in", sorted(contradicted))]
        rows = lake.select(table, "SELECT DISTINCT venue_symbol, symbol FROM {rows}", [of_names])
        found |= {(row["venue_symbol"], row["symbol"]) for row in rows.to_pylist()}
    return {name for name, _ in found & by_text}


def seed(lake: Lake) -> int:
    """Write what conf/symbols.yml says of the configured symbols and the table does not; return how many rows."""
    known = [row for row in lake.rows_where(SYMBOLS, []).to_pylist() if row["source"] == CONF]
    known.sort(key=lambda row: row["since"])
    held = {(row["venue"], row["venue_symbol"]): row["symbol"] for row in known}
    wanted = {key: pair for key, pair in _of_conf(lake.settings).items() if held.get(key) != pair.symbol}
    if not wanted:
        return 0
    said = {"source": CONF, "since": datetime.now(UTC)}
    rows = [
        {"venue": venue, "venue_symbol": name, "base": pair.base, "quote": pair.quote, "symbol": pair.symbol} | said
        for (venue, name), pair in wanted.items()
    ]
    lake.append_rows(SYMBOLS, pa.Table.from_pylist(rows, contract_schema(SYMBOLS)))
    return len(wanted)


def _of_conf(settings: Settings) -> dict[tuple[str, str], Pair]:
    symbols, venues = load_symbols(), settings.venues
    found = {("binance", name): symbols.of_binance(name) for name in venues.binance.symbols}
    found |= {("bybit-spot", name): symbols.of_bybit("bybit-spot", name) for name in venues.bybit.spot_symbols}
    found |= {("bybit-linear", name): symbols.of_bybit("bybit-linear", name) for name in venues.bybit.linear_symbols}
    return {key: pair for key, pair in found.items() if pair is not None}
