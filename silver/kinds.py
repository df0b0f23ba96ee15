"""The kinds of rows that frames hold, and the table of each: a new kind is one more line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.table import Table
from silver.tables import CANDLES, GAPS, PRICES, SYMBOLS, TICKERS, TRADES

FROM_FRAME = ("topic_id", "topic", "partition", "offset", "venue", "session_id", "sequence", "received_at", "origin")


@dataclass(frozen=True, eq=False)
class RowKind:
    """One kind of row.

    Args:
        name: `kind` of the parsed rows, as in silver.rows.
        table: where they go; its name without the schema is what they are counted under.
        key: columns that name a row; copies of one key must agree.
        values: in these columns.
        time: column of the key; a stored copy of a row has the very same time.
        fault: name of the point behind the commit.
        constants: columns that no parser yields and that have one value in all rows.
        copied: columns that no parser yields, and which other column they take after.
    """

    name: str
    table: Table
    key: tuple[str, ...]
    values: tuple[str, ...]
    time: str
    fault: str
    constants: Mapping[str, str | None] = field(default_factory=dict)
    copied: Mapping[str, str] = field(default_factory=dict)

    @property
    def plural(self) -> str:
        """What the rows are counted under."""
        return self.table.name.partition(".")[2]

    @property
    def parsed(self) -> list[str]:
        """The columns that a parser yields, but for `row`, which every kind has."""
        given = {*FROM_FRAME, "row", *self.constants, *self.copied}
        return [name for name in self.table.columns if name not in given]


GAP = RowKind(
    "gap",
    GAPS,
    key=("venue", "symbol", "from_time"),  # the start names a stretch: our markers carry no ids
    values=("to_time", "reason"),
    time="from_time",
    fault="after_gaps_commit",
    # Nothing can bring such trades back, so a gap is born unrecoverable, and was detected when its marker was made.
    constants={"from_id": None, "to_id": None, "closed_at": None, "status": "unrecoverable"},
    copied={"detected_at": "received_at"},
)
CANDLE = RowKind(
    "candle",
    CANDLES,
    key=CANDLES.key,
    values=("open", "high", "low", "close", "volume", "buy_volume", "amount", "trade_count"),
    time="minute",
    fault="after_candles_commit",
)
TICKER = RowKind(
    "ticker",
    TICKERS,
    key=TICKERS.key,
    # Not the best bid and ask: the book moves on while no trade moves the 24 hours.
    values=("last_price", "open_price", "high_price", "low_price", "volume", "quote_volume", "last_id", "trade_count"),
    time="close_time",
    fault="after_tickers_commit",
)
PRICE = RowKind(
    "price",
    PRICES,
    key=PRICES.key,
    values=("price",),
    time="updated_at",
    fault="after_prices_commit",
)
SYMBOL = RowKind(
    "symbol",
    SYMBOLS,
    key=SYMBOLS.key,
    values=("base", "quote"),
    time="since",
    fault="after_symbols_commit",
)
TRADE = RowKind(
    "trade",
    TRADES,
    key=TRADES.key,
    values=("price", "quantity", "side"),
    time="event_time",
    fault="after_silver_commit",
)

# In the order of their writes. Trades, whose canonical frames have a fast path of their own, are written last, behind
# the quarantine: the mark they leave is that of refine.
BESIDE_TRADES = (GAP, CANDLE, TICKER, PRICE, SYMBOL)
ROW_KINDS = (*BESIDE_TRADES, TRADE)
# What a batch is counted by.
COUNTED = ("frames", "control", *(kind.plural for kind in ROW_KINDS), "copies", "quarantined")
