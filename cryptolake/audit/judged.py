"""What goes into the audit's reading of frames, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptolake.audit.symbols import Names


class Frame(NamedTuple):
    """A row of bronze.frames; a header that was missing or garbled is None."""

    venue: str | None
    channel: str | None
    key: str | None
    session_id: str | None
    sequence: int | None
    received_us: int | None
    origin: str | None
    payload: bytes


class Bad(NamedTuple):
    """A row that belongs into quarantine; `frame` is the frame's place in the run."""

    frame: int
    row: int
    why: str


@dataclass
class Judged:
    """What a run of frames must have become; `index` is the frame's place in the run, numbers are decimal text.

    Args:
        trades: (index, row, venue_symbol, trade_key, trade_id, venue_sequence, side, price, quantity, event time us).
        candles: (index, row, venue_symbol, minute us, open, high, low, close, volume, buy_volume, amount, trade_count).
        gaps: (index, row, symbol or *, from us, to us, reason).
        lost: (venue symbol, first id, last id) that the venue no longer has.
        tickers: (index, row, and what `kinds.TICKERS` names as parsed).
        prices: (index, row, venue_symbol, updated us, price, volume_24h, change_24h_pct, market_cap).
        symbols: (index, row, venue_symbol, since us, base, quote).
        bad: rows for quarantine.
        arrays: frames of many rows; of all others the frame and its row 0 are the same.
        control: frames that go no further.
        names: what the venues' symbols may stand for.
    """

    trades: list[tuple[Any, ...]] = field(default_factory=list)
    candles: list[tuple[Any, ...]] = field(default_factory=list)
    gaps: list[tuple[Any, ...]] = field(default_factory=list)
    lost: list[tuple[str, int, int]] = field(default_factory=list)
    tickers: list[tuple[Any, ...]] = field(default_factory=list)
    prices: list[tuple[Any, ...]] = field(default_factory=list)
    symbols: list[tuple[Any, ...]] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    arrays: list[int] = field(default_factory=list)
    control: list[int] = field(default_factory=list)
    names: Names = field(default_factory=Names, compare=False)
