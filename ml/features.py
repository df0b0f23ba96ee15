"""Features of a closed minute, from that minute's bar and the ones before it."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as f

from lakehouse.settings import MlSettings

MINUTE_S = 60

FEATURES: tuple[str, ...] = (
    "return_1",
    "return_2",
    "return_6",
    "return_20",
    "price_to_ma6",
    "price_to_ma20",
    "volatility_6",
    "volatility_20",
    "volume_ratio",
    "buy_share",
    "buy_share_6",
    "close_location",
    "price_range",
    "price_to_vwap",
    "market_return_1",
    "market_return_6",
)

_KEY = ("venue", "symbol", "minute")
_FIGURES = ("high", "low", "close", "volume", "buy_volume", "vwap")
BAR_COLUMNS: tuple[str, ...] = (*_KEY, *_FIGURES)


def with_features(bars: DataFrame, settings: MlSettings) -> DataFrame:
    """Return one row for each bar that has the bars before it which the features need.

    Lagged values are of the last bars present; a row is made only when the `lookback_minutes` bars before it lie within
    `lookback_minutes + gap_tolerance_minutes` minutes. A row depends on no bar after its minute.

    Args:
        bars: BAR_COLUMNS; a key at most once.
        settings: look-back, gap tolerance, market symbol.

    Returns:
        venue, symbol, minute (start of the last bar used), price (its close, exact), and FEATURES as doubles: returns,
        volatilities and distances are fractions of a price, shares and locations lie in 0..1.
    """
    by_time = Window.partitionBy("venue", "symbol").orderBy("minute")
    back = settings.lookback_minutes
    doubles = [f.col(c).cast("double").alias(c) for c in _FIGURES]
    rows = bars.select(*_KEY, f.col("close").alias("price"), *doubles)
    rows = rows.withColumn("return_1", f.col("close") / f.lag("close", 1).over(by_time) - 1)
    oldest = f.unix_seconds(f.lag("minute", back).over(by_time))
    span_s = f.unix_seconds(f.col("minute")) - oldest
    rows = rows.select("*", span_s.alias("span_s"), *(value.alias(name) for name, value in _windowed(by_time).items()))
    rows = _with_market(rows, settings.market_symbol)
    complete = f.col("span_s") <= (back + settings.gap_tolerance_minutes) * MINUTE_S
    present = reduce(lambda a, b: a & b, (f.col(name).isNotNull() for name in FEATURES))
    return rows.where(complete & present).select(*_KEY, "price", *FEATURES)


def _windowed(by_time: WindowSpec) -> dict[str, Column]:
    close, volume = f.col("close"), f.col("volume")
    last_6, last_20 = by_time.rowsBetween(-5, 0), by_time.rowsBetween(-19, 0)
    before_20 = by_time.rowsBetween(-20, -1)
    high_low = f.col("high") - f.col("low")
    return {
        "return_2": close / f.lag("close", 2).over(by_time) - 1,
        "return_6": close / f.lag("close", 6).over(by_time) - 1,
        "return_20": close / f.lag("close", 20).over(by_time) - 1,
        "price_to_ma6": close / f.avg("close").over(last_6) - 1,
        "price_to_ma20": close / f.avg("close").over(last_20) - 1,
        "volatility_6": f.stddev_pop("return_1").over(last_6),
        "volatility_20": f.stddev_pop("return_1").over(last_20),
        "volume_ratio": f.try_divide(volume, f.avg("volume").over(before_20)),
        "buy_share": f.try_divide(f.col("buy_volume"), volume),
        "buy_share_6": f.try_divide(f.sum("buy_volume").over(last_6), f.sum("volume").over(last_6)),
        "close_location": f.coalesce(f.try_divide(close - f.col("low"), high_low), f.lit(0.5)),
        "price_range": high_low / close,
        "price_to_vwap": close / f.col("vwap") - 1,
    }


def _with_market(rows: DataFrame, market_symbol: str) -> DataFrame:
    """Add the market symbol's returns of the same minute and venue; 0 where it has none."""
    same_minute = Window.partitionBy("venue", "minute")
    is_market = f.col("symbol") == market_symbol
    for name in ("return_1", "return_6"):
        of_market = f.max(f.when(is_market, f.col(name))).over(same_minute)
        rows = rows.withColumn(f"market_{name}", f.coalesce(of_market, f.lit(0.0)))
    return rows
