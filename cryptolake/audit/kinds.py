"""The rows of silver that come straight from frames, and which of their columns the audit compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa

from cryptolake.audit.spill import Ints

TIME = pa.timestamp("us")
PRICE, QUANTITY = pa.decimal128(24, 12), pa.decimal128(24, 8)
VOLUME, AMOUNT = pa.decimal128(34, 8), pa.decimal128(38, 20)
_FULL_DOUBLE = pa.decimal128(38, 28)
MINUTE_US = 60_000_000

PLACE_COLUMNS = {"topic_id": pa.string(), "partition": pa.int32(), "offset": pa.int64(), "row": pa.int32()}


@dataclass(frozen=True, eq=False)
class Kind:
    """One table of silver.

    Args:
        table: its name.
        parsed: columns read from the frame's payload, in the order in which `Judged` has them.
        carried: columns taken over from bronze.
        key: names a row once; of the parsed and carried columns.
        content: what further copies of a key must agree in.
        spread_by: a column that all rows of one key share, to divide the rows by; where it is null, the next one.
        time: the time that a row tells of.
    """

    table: str
    parsed: Mapping[str, pa.DataType]
    carried: Mapping[str, pa.DataType]
    key: tuple[str, ...]
    content: tuple[str, ...]
    spread_by: tuple[str, ...]
    time: str

    @property
    def name(self) -> str:
        """The table's name without its schema."""
        return self.table.partition(".")[2]

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """All compared columns."""
        return {**self.carried, **self.parsed}

    @property
    def expected_schema(self) -> Any:
        """Columns of what bronze says: place, in_flight, and those compared."""
        return pa.schema([("place", pa.int64()), ("in_flight", pa.bool_()), *self.columns.items()])

    @property
    def stored_schema(self) -> Any:
        """Columns of what silver holds: place, symbol, and those compared."""
        return pa.schema({"place": pa.int64(), "symbol": pa.string(), **self.columns}.items())

    def spread(self, batch: Any) -> Ints:
        """A number per row that all rows of one key share, to divide the rows by."""
        found: Ints = np.zeros(batch.num_rows, dtype=np.int64)
        open_at: Ints = np.arange(batch.num_rows)
        for name in self.spread_by:
            column = batch.column(name).take(pa.array(open_at))
            is_there = column.is_valid()
            there = is_there.to_numpy(zero_copy_only=False)
            found[open_at[there]] = _numbers(column.filter(is_there))
            open_at = open_at[~there]
        return found


def _numbers(column: Any) -> Ints:
    if pa.types.is_string(column.type):
        return np.fromiter((crc32(text.encode()) for text in column.to_pylist()), np.int64, len(column))
    if pa.types.is_timestamp(column.type):
        return np.asarray(_numbers(column.cast(pa.int64())) // MINUTE_US)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)


_FROM_FRAME = {"venue": pa.string(), "topic": pa.string(), "received_at": TIME, "origin": pa.string()}

TRADES = Kind(
    table="silver.trades",
    parsed={
        "venue_symbol": pa.string(),
        "trade_key": pa.string(),
        "trade_id": pa.int64(),
        "venue_sequence": pa.int64(),
        "side": pa.string(),
        "price": PRICE,
        "quantity": QUANTITY,
        "event_time": TIME,
    },
    carried={**_FROM_FRAME, "session_id": pa.string(), "sequence": pa.int64()},
    key=("venue", "venue_symbol", "trade_key"),
    content=("price", "quantity", "side"),
    spread_by=("trade_id", "trade_key"),  # copies of a trade without an id differ in whatever a session gave it
    time="event_time",
)

CANDLES = Kind(
    table="silver.candles",
    parsed={
        "venue_symbol": pa.string(),
        "minute": TIME,
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "close": PRICE,
        "volume": VOLUME,
        "buy_volume": VOLUME,
        "amount": AMOUNT,
        "trade_count": pa.int64(),
    },
    carried=_FROM_FRAME,
    key=("venue", "venue_symbol", "minute"),
    content=("open", "high", "low", "close", "volume", "buy_volume", "amount", "trade_count"),
    spread_by=("minute",),
    time="minute",
)

SYMBOLS = Kind(
    table="silver.symbols",
    parsed={"venue_symbol": pa.string(), "since": TIME, "base": pa.string(), "quote": pa.string()},
    carried=_FROM_FRAME,
    key=("venue", "venue_symbol", "since"),
    content=("base", "quote"),
    spread_by=("since",),
    time="since",
)

GAPS = Kind(
    table="silver.gaps",
    parsed={"symbol": pa.string(), "from_time": TIME, "to_time": TIME, "reason": pa.string()},
    carried={"venue": pa.string(), "topic": pa.string()},
    key=("venue", "symbol", "from_time"),
    content=("to_time", "reason"),
    spread_by=("from_time",),
    time="from_time",
)

TICKERS = Kind(
    table="silver.tickers",
    parsed={
        "venue_symbol": pa.string(),
        "close_time": TIME,
        "open_time": TIME,
        **dict.fromkeys(("last_price", "price_change", "weighted_average_price", "previous_close_price"), PRICE),
        **dict.fromkeys(("bid_price", "ask_price", "open_price", "high_price", "low_price"), PRICE),
        "price_change_pct": pa.decimal128(18, 8),
        **dict.fromkeys(("last_quantity", "bid_quantity", "ask_quantity"), QUANTITY),
        "volume": VOLUME,
        "quote_volume": AMOUNT,
        **dict.fromkeys(("first_id", "last_id", "trade_count"), pa.int64()),
    },
    carried={**_FROM_FRAME, "session_id": pa.string(), "sequence": pa.int64()},
    key=("venue", "venue_symbol", "close_time"),
    content=("last_price", "open_price", "high_price", "low_price", "volume", "quote_volume", "last_id", "trade_count"),
    spread_by=("close_time",),
    time="close_time",
)

PRICES = Kind(
    table="silver.prices",
    parsed={
        "venue_symbol": pa.string(),
        "updated_at": TIME,
        "price": _FULL_DOUBLE,
        "volume_24h": AMOUNT,
        "change_24h_pct": _FULL_DOUBLE,
        "market_cap": AMOUNT,
    },
    carried={**_FROM_FRAME, "session_id": pa.string(), "sequence": pa.int64()},
    key=("venue", "venue_symbol", "updated_at"),
    content=("price",),
    spread_by=("updated_at",),
    time="updated_at",
)

KINDS = (TRADES, CANDLES, GAPS, TICKERS, PRICES, SYMBOLS)
