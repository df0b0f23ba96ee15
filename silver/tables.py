"""The tables of silver: one list of the contracts."""

from __future__ import annotations

from silver.contracts.bars import FIVE_MINUTE_BARS, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS
from silver.contracts.missing import GAPS, QUARANTINE
from silver.contracts.results import QUALITY_RESULTS
from silver.contracts.stated import CANDLES, PRICES, SYMBOLS, TICKERS, TRADES

__all__ = [
    "CANDLES",
    "FIVE_MINUTE_BARS",
    "GAPS",
    "ONE_MINUTE_BARS",
    "PRICES",
    "QUALITY_RESULTS",
    "QUARANTINE",
    "SIX_MINUTE_TRENDS",
    "SYMBOLS",
    "TABLES",
    "TICKERS",
    "TRADES",
]

TABLES = (
    TRADES,
    CANDLES,
    TICKERS,
    PRICES,
    QUARANTINE,
    GAPS,
    SYMBOLS,
    ONE_MINUTE_BARS,
    FIVE_MINUTE_BARS,
    SIX_MINUTE_TRENDS,
    QUALITY_RESULTS,
)
