"""What a strict parse takes and gives: one frame in, rows out."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from silver.symbols import Symbols, load_symbols

WHOLE_FRAME = -1


@dataclass(frozen=True)
class Frame:
    """One row of bronze.frames as a parser sees it; a header that was missing or garbled is None.

    Args:
        venue: source of the frame.
        channel: trade, kline, gap, ...
        key: Kafka message key.
        session_id: the connection that brought it.
        sequence: place of the frame in its session.
        received_us: when the collector received it (UTC, us).
        origin: stream, backfill or replay.
        payload: the frame's bytes.
        symbols: what names stand for when it is parsed.
    """

    venue: str | None
    channel: str | None
    key: str | None
    session_id: str | None
    sequence: int | None
    received_us: int | None
    origin: str | None
    payload: bytes
    symbols: Symbols = field(default_factory=load_symbols, compare=False, repr=False)


@dataclass(frozen=True)
class Trade:
    """One trade; names and units as in silver.trades, times in us UTC."""

    kind: ClassVar[str] = "trade"
    row: int
    symbol: str
    base: str
    quote: str
    venue_symbol: str
    trade_key: str
    trade_id: int | None
    side: str
    price: Decimal
    quantity: Decimal
    event_time: int
    rescued: str | None
    venue_sequence: int | None = None


@dataclass(frozen=True)
class Candle:
    """One closed one-minute candle; names and units as in silver.candles, times in us UTC."""

    kind: ClassVar[str] = "candle"
    row: int
    symbol: str
    venue_symbol: str
    minute: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    buy_volume: Decimal
    amount: Decimal
    trade_count: int


@dataclass(frozen=True)
class Gap:
    """One stretch of time that was not heard; names as in silver.gaps, times in us UTC."""

    kind: ClassVar[str] = "gap"
    row: int
    symbol: str
    from_time: int
    to_time: int
    reason: str


@dataclass(frozen=True)
class LostIds:
    """Ids that the venue's history no longer has."""

    kind: ClassVar[str] = "lost_ids"
    row: int
    symbol: str
    from_id: int
    to_id: int


@dataclass(frozen=True)
class Ticker:
    """The statistics of 24 hours; names and units as in silver.tickers, times in us UTC."""

    kind: ClassVar[str] = "ticker"
    row: int
    symbol: str
    base: str
    quote: str
    venue_symbol: str
    close_time: int
    last_price: Decimal
    price_change: Decimal
    price_change_pct: Decimal
    weighted_average_price: Decimal
    previous_close_price: Decimal
    last_quantity: Decimal
    bid_price: Decimal
    bid_quantity: Decimal
    ask_price: Decimal
    ask_quantity: Decimal
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    volume: Decimal
    quote_volume: Decimal
    open_time: int
    first_id: int | None
    last_id: int | None
    trade_count: int
    rescued: str | None


@dataclass(frozen=True)
class Price:
    """One stated price; names and units as in silver.prices, times in us UTC."""

    kind: ClassVar[str] = "price"
    row: int
    symbol: str
    base: str
    quote: str
    venue_symbol: str
    updated_at: int
    price: Decimal
    volume_24h: Decimal | None
    change_24h_pct: Decimal | None
    market_cap: Decimal | None
    rescued: str | None


@dataclass(frozen=True)
class SymbolName:
    """What a venue says that a name of its own stands for; names as in silver.symbols, times in us UTC."""

    kind: ClassVar[str] = "symbol"
    row: int
    venue_symbol: str
    since: int
    base: str
    quote: str
    symbol: str
    source: str


@dataclass(frozen=True)
class Rejected:
    """A row that breaks rules: all of them that could be told."""

    kind: ClassVar[str] = "rejected"
    row: int
    reasons: tuple[str, ...]


ParsedRow = Trade | Candle | Ticker | Price | Gap | SymbolName | LostIds | Rejected
