"""The rolling 24 h ticker of one symbol, from its trades."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np

from simulator.catalogue import Symbol
from simulator.history import History
from simulator.trades import wire_text

_DAY_US = 86_400_000_000
_EIGHT, _THREE = Decimal("0.00000001"), Decimal("0.001")


def ticker_24h(history: History, symbol: Symbol, now_us: int, unit_us: int) -> dict[str, Any]:
    """Write REST `ticker/24hr` in full; times in units of `unit_us`."""
    end_us = now_us // 1_000 * 1_000 + 1_000
    trades = history.between(symbol, end_us - _DAY_US, end_us)
    amounts = symbol.price_decimals + symbol.quantity_decimals

    def price(ticks: int) -> str:
        return wire_text(ticks, symbol.price_decimals)

    def quantity(lots: int) -> str:
        return wire_text(lots, symbol.quantity_decimals)

    before = history.by_id(symbol, trades.first_id - 1, trades.first_id)
    shown = trades if len(trades) else before
    volume, amount = int(np.sum(trades.lots)), int(np.sum(trades.ticks * trades.lots))
    opened, last = int(shown.ticks[0]), int(shown.ticks[-1])
    spread = max(1, math.ceil(2e-4 * symbol.half_spread_bp * last))
    bid = last - spread if shown.buy[-1] else last
    average = Decimal(amount) / Decimal(volume) / 10**symbol.price_decimals if volume else Decimal(0)
    change = last - opened
    return {
        "symbol": symbol.name,
        "priceChange": ("-" if change < 0 else "") + price(abs(change)),
        "priceChangePercent": str((100 * Decimal(change) / Decimal(opened)).quantize(_THREE, ROUND_HALF_UP)),
        "weightedAvgPrice": f"{average.quantize(_EIGHT, ROUND_HALF_UP):f}",
        "prevClosePrice": price(int(before.ticks[-1])) if len(before) else price(0),
        "lastPrice": price(last),
        "lastQty": quantity(int(shown.lots[-1])),
        "bidPrice": price(bid),
        "bidQty": quantity(int(shown.lots[0])),
        "askPrice": price(bid + spread),
        "askQty": quantity(int(shown.lots[-1])),
        "openPrice": price(opened),
        "highPrice": price(int(np.max(shown.ticks))),
        "lowPrice": price(int(np.min(shown.ticks))),
        "volume": quantity(volume),
        "quoteVolume": wire_text(amount, amounts),
        "openTime": (end_us - _DAY_US) // unit_us,
        "closeTime": end_us // unit_us - 1,
        "firstId": trades.first_id if len(trades) else -1,
        "lastId": trades.first_id + len(trades) - 1 if len(trades) else -1,
        "count": len(trades),
    }
