"""Bars and trends by `decimal` and plain loops: slow, obvious, and sharing nothing with the transforms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

EXACT = Context(prec=200, rounding=ROUND_HALF_UP)
MINUTE = timedelta(minutes=1)
T0 = datetime(2024, 8, 9, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Trade:
    """One trade, as far as bars are made of it."""

    venue: str
    symbol: str
    trade_id: int | None
    side: str
    price: Decimal
    quantity: Decimal
    event_time: datetime
    session_id: str
    sequence: int
    row: int
    venue_sequence: int | None = None
    trade_key: str = ""

    @property
    def place(self) -> tuple[Any, ...]:
        if self.trade_id is not None:
            return self.event_time, self.trade_id
        if self.venue_sequence is not None:
            return self.event_time, self.venue_sequence, self.trade_key
        return self.event_time, self.session_id, self.sequence, self.row


def half_up(value: Fraction, decimals: int) -> Decimal:
    """Round half away from zero, once."""
    steps, rest = divmod(abs(value) * 10**decimals, 1)
    steps += rest >= Fraction(1, 2)
    size = EXACT.scaleb(Decimal(int(steps)), -decimals)
    return EXACT.minus(size) if value < 0 else size


def bars(trades: Iterable[Trade]) -> dict[tuple[str, str, datetime], dict[str, Any]]:
    groups = defaultdict(list)
    for trade in trades:
        minute = trade.event_time.replace(second=0, microsecond=0)
        groups[trade.venue, trade.symbol, minute].append(trade)
    return {key: _bar(sorted(group, key=lambda trade: trade.place)) for key, group in groups.items()}


def _bar(trades: list[Trade]) -> dict[str, Any]:
    volume = sum((Fraction(t.quantity) for t in trades), Fraction(0))
    amount = sum((Fraction(t.price) * Fraction(t.quantity) for t in trades), Fraction(0))
    price_sum = sum((Fraction(t.price) for t in trades), Fraction(0))
    return {
        "open": trades[0].price,
        "high": max(t.price for t in trades),
        "low": min(t.price for t in trades),
        "close": trades[-1].price,
        "volume": half_up(volume, 8),
        "buy_volume": half_up(sum((Fraction(t.quantity) for t in trades if t.side == "buy"), Fraction(0)), 8),
        "amount": half_up(amount, 20),
        "price_sum": half_up(price_sum, 20),
        "average_price": half_up(price_sum / len(trades), 16),
        "vwap": half_up(Fraction(half_up(amount / volume, 24)), 16),
        "trade_count": len(trades),
        "origin": "trades",
    }


def five_minute_bars(
    one_minute: dict[tuple[str, str, datetime], dict[str, Any]],
) -> dict[tuple[str, str, datetime], dict[str, Any]]:
    groups = defaultdict(list)
    for venue, symbol, minute in sorted(one_minute):
        groups[venue, symbol, minute - minute.minute % 5 * MINUTE].append(one_minute[venue, symbol, minute])
    return {key: _five(minutes) for key, minutes in groups.items()}


def _five(minutes: list[dict[str, Any]]) -> dict[str, Any]:
    def total(name: str) -> Fraction:
        return sum((Fraction(bar[name]) for bar in minutes), Fraction(0))

    from_trades = all(bar["origin"] == "trades" for bar in minutes)
    count, volume, amount = sum(bar["trade_count"] for bar in minutes), total("volume"), total("amount")
    return {
        "open": minutes[0]["open"],
        "high": max(bar["high"] for bar in minutes),
        "low": min(bar["low"] for bar in minutes),
        "close": minutes[-1]["close"],
        "volume": half_up(volume, 8),
        "buy_volume": half_up(total("buy_volume"), 8),
        "amount": half_up(amount, 20),
        "price_sum": half_up(total("price_sum"), 20) if from_trades else None,
        "average_price": half_up(total("price_sum") / count, 16) if from_trades else None,
        "vwap": half_up(Fraction(half_up(amount / volume, 24)), 16),
        "trade_count": count,
        "origin": "trades" if from_trades else "klines",
    }


def trends(averages: dict[tuple[str, str, datetime], Decimal]) -> dict[tuple[str, str, datetime], dict[str, Any]]:
    found = {}
    for venue, symbol, minute in averages:
        six = [averages.get((venue, symbol, minute - i * MINUTE)) for i in range(5, -1, -1)]
        present = [Fraction(average) for average in six if average is not None]
        change = half_up(100 * (present[-1] / present[0] - 1), 8)
        found[venue, symbol, minute] = {
            "average_price": half_up(sum(present) / len(present), 16),
            "minutes_present": len(present),
            "change_pct": change,
            "trend": "flat" if change == 0 else "up" if change > 0 else "down",
        }
    return found
