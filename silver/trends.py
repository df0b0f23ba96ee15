"""The average price over six minutes, exact to the last digit."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f
from pyspark.sql.types import DecimalType

from silver.closing import MINUTE_US
from silver.contracts.columns import AVERAGE, CHANGE_PCT

MINUTES_BEFORE = 5
TREND_VALUES = ("average_price", "minutes_present", "change_pct", "trend")
_CHANGE_STEPS = 10**CHANGE_PCT.scale
_WHOLE = DecimalType(18, 0)


def six_minute_trends(bars: DataFrame) -> DataFrame:
    """Make one row for every bar that has an average price.

    `average_price` is the mean of the average prices present in minute-5..minute, half up to 16 decimals;
    `change_pct` is 100 x (the bar's average price / the first present - 1), half up to 8 decimals, null when it does
    not fit; `trend` is its sign.

    Args:
        bars: columns of silver.one_minute_bars; each key once.

    Returns:
        columns of silver.six_minute_trends without `revised_at`.
    """
    minute_us = f.unix_micros("minute")
    six = Window.partitionBy("venue", "symbol").orderBy(minute_us).rangeBetween(-MINUTES_BEFORE * MINUTE_US, 0)
    present = bars.where("average_price IS NOT NULL").select(
        *("venue", "symbol", "minute"),
        f.col("average_price").alias("this"),
        f.first("average_price").over(six).alias("first"),
        f.sum("average_price").over(six).alias("sum"),
        f.count("average_price").over(six).alias("present"),
    )
    this, first = f.col("this"), f.col("first")
    return present.withColumn("change_pct", _change_pct(this, first)).select(
        *("venue", "symbol", "minute"),
        # At most six parts: 26 decimals, then 16, round as once.
        f.try_divide("sum", "present").try_cast(AVERAGE).alias("average_price"),
        f.col("present").cast("int").alias("minutes_present"),
        "change_pct",
        f.when(f.col("change_pct") == 0, "flat").when(this > first, "up").otherwise("down").alias("trend"),
    )


def _change_pct(this: Column, first: Column) -> Column:
    # Spark's division keeps 21 decimals here, and rounding them again to 8 can miss the last digit (a test has the
    # numbers). So it is a long division: every quotient below is whole, and the last remainder decides.
    difference = (f.abs(this - first) * f.lit(100)).try_cast(DecimalType(33, 16))
    rest = f.try_mod(difference, first)
    whole = f.try_divide(difference - rest, first).try_cast(_WHOLE)
    scaled = f.try_multiply(rest.cast(AVERAGE), f.lit(_CHANGE_STEPS))
    last_rest = f.try_mod(scaled, first)
    steps = f.try_divide(scaled - last_rest, first).try_cast(_WHOLE)
    up = f.when(last_rest * f.lit(2) >= first, f.lit(1)).otherwise(f.lit(0))
    size = whole.try_cast(CHANGE_PCT) + ((steps + up) * f.lit("0.00000001").cast(CHANGE_PCT)).try_cast(CHANGE_PCT)
    return f.when(this < first, -size).otherwise(size).try_cast(CHANGE_PCT)
