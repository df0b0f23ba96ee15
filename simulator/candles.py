"""Candles and 24 h tickers, exactly, from the very trades that the stream and the REST give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.catalogue import Symbol
from simulator.history import History
from simulator.trades import Ints, Trades, wire_text

_MINUTE_US = 60_000_000
_DAY_US = 1_440 * _MINUTE_US
_WEEK_OFFSET_US = 4 * _DAY_US  # 1970-01-01 was a Thursday; weeks begin on Monday
INTERVALS_US = {
    "1s": 1_000_000,
    **{f"{n}m": n * _MINUTE_US for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * 60 * _MINUTE_US for n in (1, 2, 4, 6, 8, 12)},
    "1d": _DAY_US,
    "3d": 3 * _DAY_US,
    "1w": 7 * _DAY_US,
}


@dataclass(frozen=True)
class Candle:
    """One interval of one symbol, in ticks, lots and their products.

    Args:
        open_us: its beginning, UTC microseconds.
        ohlc: open, high, low, close.
        volume: lots.
        amount: ticks x lots.
        count: trades.
        buy_volume: lots of trades whose taker bought.
        buy_amount: their ticks x lots.
    """

    open_us: int
    ohlc: tuple[int, int, int, int]
    volume: int = 0
    amount: int = 0
    count: int = 0
    buy_volume: int = 0
    buy_amount: int = 0


def candles(history: History, symbol: Symbol, interval_us: int, opens: range) -> list[Candle]:
    """Make the candles that open at `opens` (microseconds, step = interval).

    One without trades stands at the last close; none is made before the symbol's first trade.
    """
    if not len(opens):
        return []
    trades = history.between(symbol, opens.start, opens.stop)
    traded = {candle.open_us: candle for candle in _traded(trades, interval_us, opens.start)}
    before = trades.first_id if len(trades) else history.next_id(symbol, opens.start)
    last = history.by_id(symbol, before - 1, before)
    close = int(last.ticks[-1]) if len(last) else None
    made = []
    for open_us in opens:
        candle = traded.get(open_us)
        if candle is None and close is not None:
            candle = Candle(open_us, (close, close, close, close))
        if candle is not None:
            close = candle.ohlc[3]
            made.append(candle)
    return made


def _traded(trades: Trades, interval_us: int, origin_us: int) -> list[Candle]:
    if not len(trades):
        return []
    bucket = (trades.time_us - origin_us) // interval_us
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    ends = np.append(starts[1:], len(trades)) - 1
    amounts = trades.ticks * trades.lots
    columns: list[Ints] = [
        origin_us + bucket[starts] * interval_us,
        trades.ticks[starts],
        np.maximum.reduceat(trades.ticks, starts),
        np.minimum.reduceat(trades.ticks, starts),
        trades.ticks[ends],
        np.add.reduceat(trades.lots, starts),
        np.add.reduceat(amounts, starts),
        ends - starts + 1,
        np.add.reduceat(np.where(trades.buy, trades.lots, 0), starts),
        np.add.reduceat(np.where(trades.buy, amounts, 0), starts),
    ]
    return [
        Candle(opened, (first, high, low, last), volume, amount, count, buys, buy_amount)
        for opened, first, high, low, last, volume, amount, count, buys, buy_amount in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def kline_row(candle: Candle, symbol: Symbol, interval_us: int, unit_us: int) -> list[Any]:
    """Write a candle as the array of 12 of REST `klines`; times in units of `unit_us`."""
    amounts = symbol.price_decimals + symbol.quantity_decimals
    return [
        candle.open_us // unit_us,
        *(wire_text(ticks, symbol.price_decimals) for ticks in candle.ohlc),
        wire_text(candle.volume, symbol.quantity_decimals),
        (candle.open_us + interval_us) // unit_us - 1,
        wire_text(candle.amount, amounts),
        candle.count,
        wire_text(candle.buy_volume, symbol.quantity_decimals),
        wire_text(candle.buy_amount, amounts),
        "0",
    ]


def grid(interval_us: int, start_us: int | None, end_us: int, limit: int, epoch_us: int) -> range:
    """Give the opening times of the candles asked for.

    Args:
        interval_us: length of a candle.
        start_us: opening time from which the first `limit` are given; None gives the last `limit`.
        end_us: greatest opening time.
        limit: most candles.
        epoch_us: none opens before.
    """
    offset = _WEEK_OFFSET_US if interval_us == INTERVALS_US["1w"] else 0
    last = (end_us - offset) // interval_us * interval_us + offset
    earliest = -(-(epoch_us - offset) // interval_us) * interval_us + offset
    if start_us is None:
        first = last - (limit - 1) * interval_us
    else:
        first = -(-(start_us - offset) // interval_us) * interval_us + offset
    first = max(first, earliest)
    return range(first, min(last, first + (limit - 1) * interval_us) + interval_us, interval_us)
