"""What is worked out: bars of one and five minutes, and the trend of six."""

from __future__ import annotations

from pyspark.sql.types import IntegerType, StringType, StructType, TimestampType

from lakehouse.table import Table, column
from silver.contracts.columns import AVERAGE, CHANGE_PCT, bar_values, minute_of_symbol

ONE_MINUTE_BARS = Table(
    name="silver.one_minute_bars",
    comment="One-minute bars, exact, from trades or, before we listened, from the venue's candles.",
    schema=StructType(
        [
            *minute_of_symbol(),
            *bar_values(),
        ]
    ),
    key=("venue", "symbol", "minute"),
    writer="aggregate",
    cluster_by=("minute", "symbol"),
    properties={"delta.enableChangeDataFeed": "true"},
)

FIVE_MINUTE_BARS = Table(
    name="silver.five_minute_bars",
    comment="Five-minute bars, exact, from the one-minute bars of the window.",
    schema=StructType(
        [
            *minute_of_symbol()[:2],
            column("window_start", TimestampType(), "start of the five minutes (UTC)"),
            *bar_values(),
        ]
    ),
    key=("venue", "symbol", "window_start"),
    writer="aggregate",
    cluster_by=("window_start", "symbol"),
)

SIX_MINUTE_TRENDS = Table(
    name="silver.six_minute_trends",
    comment="The mean of the average prices of the last six minutes, and which way it goes.",
    schema=StructType(
        [
            column("venue", StringType(), "the market"),
            column("symbol", StringType(), "canonical BASE-QUOTE"),
            column("minute", TimestampType(), "last minute of the six (UTC)"),
            column("average_price", AVERAGE, "mean of the bars' average_price present in minute-5..minute, half up"),
            column("minutes_present", IntegerType(), "how many of the six have a bar with average_price"),
            column("change_pct", CHANGE_PCT, "100 x (this average_price / first present - 1), half up"),
            column("trend", StringType(), "up, down or flat: the sign of change_pct"),
            column("revised_at", TimestampType(), "when a stored value was last changed; null when never"),
        ]
    ),
    key=("venue", "symbol", "minute"),
    writer="aggregate",
    cluster_by=("minute", "symbol"),
)
