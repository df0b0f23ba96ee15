"""From strictly parsed rows to rows of silver.candles."""

from __future__ import annotations

from pyspark.sql import DataFrame

from silver.strict import rows_of_kind
from silver.tables import CANDLES

VALUES = ("open", "high", "low", "close", "volume", "buy_volume", "amount", "trade_count")


def candles_of(parsed: DataFrame) -> DataFrame:
    """Take the candles, with the columns of silver.candles.

    Args:
        parsed: rows as silver.strict gives them.
    """
    return rows_of_kind(parsed, "candle").select(*CANDLES.columns)
