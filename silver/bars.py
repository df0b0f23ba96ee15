"""Trades and candles to one-minute bars, and those to five-minute bars, exact to the last digit."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import DecimalType

from silver.closing import FIVE_MINUTES_US, MINUTE_US
from silver.contracts.columns import AMOUNT, AVERAGE, VOLUME

KEY = ("venue", "symbol", "minute")
VALUES = (
    *("open", "high", "low", "close", "volume", "buy_volume", "amount", "price_sum", "average_price", "vwap"),
    *("trade_count", "origin"),
)
# Divided by a count, this type keeps 24 decimals; rounding those to 16 is the same as rounding once below 1e8 trades.
PRICE_SUM = DecimalType(34, 12)
# A microsecond of a minute takes 26 bits of a long; these are left for the place among trades of that microsecond.
_ID_BITS = 37
_LONG_DIGITS = 19
_ROW_BITS = 16
_ID_MASK = (1 << _ID_BITS) - 1
_ROW_MASK = (1 << _ROW_BITS) - 1


def minute_start(event_time: Column) -> Column:
    """The start of the minute that a time falls into."""
    return f.timestamp_micros(_start_us(event_time, MINUTE_US))


def window_start(time: Column) -> Column:
    """The start of the five minutes that a time falls into."""
    return f.timestamp_micros(_start_us(time, FIVE_MINUTES_US))


def one_minute_bars(trades: DataFrame) -> DataFrame:
    """Make the bar of every (venue, symbol, minute) from all of its trades.

    Open and close follow event time, then trade id as a number, else the venue's own order and key where it has one,
    else session, sequence and row. Sums are exact;
    one that its type cannot hold is null, and so are the averages made of it. Averages round half up: `average_price`
    from the exact sum to 16 decimals, `vwap` to 24 and then to 16 decimals.

    Args:
        trades: columns of silver.trades; each trade once.

    Returns:
        columns of silver.one_minute_bars without `revised_at`.
    """
    bars = _minutes(_parts(_placed(trades)))
    return bars.select(
        "venue",
        "symbol",
        f.timestamp_micros("minute_us").alias("minute"),
        *_sums_and_averages(),
        "trade_count",
        f.lit("trades").alias("origin"),
    )


def candle_bars(candles: DataFrame) -> DataFrame:
    """Make the bar of every candle that holds a trade.

    A candle tells no sum of prices, so `price_sum` and `average_price` are null; `vwap` is amount / volume, rounded as
    for trades.

    Args:
        candles: columns of silver.candles.

    Returns:
        columns of silver.one_minute_bars without `revised_at`.
    """
    return candles.where("trade_count > 0").select(
        *KEY,
        *("open", "high", "low", "close", "volume", "buy_volume", "amount"),
        f.lit(None).cast(AMOUNT).alias("price_sum"),
        f.lit(None).cast(AVERAGE).alias("average_price"),
        f.try_divide("amount", "volume").try_cast(AVERAGE).alias("vwap"),
        "trade_count",
        f.lit("klines").alias("origin"),
    )


def chosen_bars(from_trades: DataFrame, from_candles: DataFrame) -> DataFrame:
    """Choose the one bar of every minute: that of the trades, unless a candle counts more of them.

    The choice looks at both bars and at nothing else, so it does not matter which of them arrived first.

    Args:
        from_trades: what `one_minute_bars` returns.
        from_candles: what `candle_bars` returns.

    Returns:
        the same columns, each key once.
    """
    rank = f.struct("trade_count", f.col("origin") == "trades")
    values = f.struct(*VALUES)
    both = from_trades.unionByName(from_candles)
    return both.groupBy(*KEY).agg(f.max_by(values, rank).alias("bar")).select(*KEY, "bar.*")


def five_minute_bars(bars: DataFrame) -> DataFrame:
    """Make the bar of every (venue, symbol, five minutes) from the one-minute bars in it.

    Sums are those of the minutes: one that its type cannot hold, or that a minute lacks, is null. So one candle among
    the minutes leaves no `price_sum` and no `average_price`, and its origin `klines`. Averages round as for one minute.

    Args:
        bars: columns of silver.one_minute_bars; each key once.

    Returns:
        columns of silver.five_minute_bars without `revised_at`.
    """
    start_us = _start_us(f.col("minute"), FIVE_MINUTES_US)
    # The sums of prices have 12 decimals, though the table keeps 20: a sum of them must not need more digits than is
    # there, and their division is to keep 24.
    windows = bars.groupBy("venue", "symbol", start_us.alias("start_us")).agg(
        f.min_by("open", "minute").alias("open"),
        f.max("high").alias("high"),
        f.min("low").alias("low"),
        f.max_by("close", "minute").alias("close"),
        _sum_of_all("volume").try_cast(VOLUME).alias("volume"),
        _sum_of_all("buy_volume").try_cast(VOLUME).alias("buy_volume"),
        _sum_of_all("amount").alias("amount"),
        _sum_of_all("price_sum", PRICE_SUM).try_cast(PRICE_SUM).alias("price_sum"),
        f.sum("trade_count").alias("trade_count"),
        f.max(f.col("origin") == "klines").alias("has_candle"),
    )
    return windows.select(
        *("venue", "symbol"),
        f.timestamp_micros("start_us").alias("window_start"),
        *_sums_and_averages(),
        "trade_count",
        f.when(f.col("has_candle"), "klines").otherwise("trades").alias("origin"),
    )


def _sum_of_all(name: str, kind: DecimalType | None = None) -> Column:
    column = f.col(name) if kind is None else f.col(name).try_cast(kind)
    return f.when(f.count(column) == f.count("*"), f.try_sum(column))


def _sums_and_averages() -> tuple[Column | str, ...]:
    return (
        *("open", "high", "low", "close", "volume", "buy_volume", "amount"),
        f.col("price_sum").try_cast(AMOUNT).alias("price_sum"),
        f.try_divide("price_sum", "trade_count").try_cast(AVERAGE).alias("average_price"),
        f.try_divide("amount", "volume").try_cast(AVERAGE).alias("vwap"),
    )


def _start_us(time: Column, length_us: int) -> Column:
    time_us = f.unix_micros(time)
    return time_us - f.pmod(time_us, f.lit(length_us))


def _placed(trades: DataFrame) -> DataFrame:
    # A struct as the order of min_by takes 3 times as long, because it cannot be held in place in a hash aggregate.
    # So the order is one long, and what does not fit into it (session, high bits of numbers) groups the rows instead.
    event_us = f.unix_micros("event_time")
    minute_us = _start_us(f.col("event_time"), MINUTE_US)
    has_id = f.col("trade_id").isNotNull()
    has_order = ~has_id & f.col("venue_sequence").isNotNull()
    in_order = f.concat(
        f.lpad(f.col("venue_sequence").cast("string"), _LONG_DIGITS, "0"), f.lit(":"), f.col("trade_key")
    )
    sequence, row = f.coalesce("sequence", f.lit(0)), f.coalesce("row", f.lit(0)).cast("long")
    number = f.when(has_id, f.col("trade_id")).otherwise(f.shiftleft(sequence, _ROW_BITS))
    number = f.when(has_order, f.lit(0)).otherwise(number)
    low = number.bitwiseAND(f.lit(_ID_MASK))
    return trades.select(
        *("venue", "symbol", "side", "price", "quantity"),
        minute_us.alias("minute_us"),
        f.when(has_order, in_order).when(~has_id, f.coalesce("session_id", f.lit(""))).alias("session"),
        f.when(has_order, f.lit(0))
        .when(has_id, f.shiftright("trade_id", _ID_BITS))
        .otherwise(f.shiftright(sequence, _ID_BITS - _ROW_BITS))
        .alias("block"),
        f.when(has_id | has_order, f.lit(0)).otherwise(f.shiftright(row, _ROW_BITS)).alias("row_block"),
        f.shiftleft(event_us - minute_us, _ID_BITS)
        .bitwiseOR(f.when(has_id | has_order, low).otherwise(low.bitwiseOR(row.bitwiseAND(f.lit(_ROW_MASK)))))
        .alias("place"),
    )


def _parts(placed: DataFrame) -> DataFrame:
    # ANSI raises on overflow, which would end the stream; hence try_.
    amount = f.try_multiply("price", "quantity")
    return placed.groupBy("venue", "symbol", "minute_us", "session", "block", "row_block").agg(
        f.min("place").alias("first_place"),
        f.max("place").alias("last_place"),
        f.min_by("price", "place").alias("open"),
        f.max_by("price", "place").alias("close"),
        f.max("price").alias("high"),
        f.min("price").alias("low"),
        f.try_sum("quantity").alias("volume"),
        f.try_sum(f.when(f.col("side") == "buy", f.col("quantity")).otherwise(f.lit(0))).alias("buy_volume"),
        f.try_sum(amount).alias("amount"),
        f.count(amount).alias("amounts"),
        f.try_sum("price").alias("price_sum"),
        f.count("*").alias("trade_count"),
    )


def _minutes(parts: DataFrame) -> DataFrame:
    return (
        parts.groupBy("venue", "symbol", "minute_us")
        .agg(
            f.min_by("open", _order("first_place")).alias("open"),
            f.max("high").alias("high"),
            f.min("low").alias("low"),
            f.max_by("close", _order("last_place")).alias("close"),
            f.try_sum("volume").try_cast(VOLUME).alias("volume"),
            f.try_sum("buy_volume").try_cast(VOLUME).alias("buy_volume"),
            f.try_sum("amount").alias("amount"),
            f.sum("amounts").alias("amounts"),
            f.try_sum("price_sum").try_cast(PRICE_SUM).alias("price_sum"),
            f.sum("trade_count").alias("trade_count"),
        )
        .withColumn("amount", f.when(f.col("amounts") == f.col("trade_count"), f.col("amount")))
    )


def _order(place: str) -> Column:
    in_minute_us = f.shiftright(place, _ID_BITS)
    low = f.col(place).bitwiseAND(f.lit(_ID_MASK))
    row = low.bitwiseAND(f.lit(_ROW_MASK))
    return f.struct(in_minute_us, "session", "block", f.shiftright(low, _ROW_BITS), "row_block", row)
