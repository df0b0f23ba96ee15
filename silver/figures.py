"""What silver's trades and candles make of given minutes: past Spark where the tables are in folders, else by it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from lakehouse.arrow import frame_of
from lakehouse.conditions import AnyOf, fulfils
from lakehouse.errors import OutOfRangeError
from lakehouse.lake import Lake
from silver.bars import KEY, candle_bars, chosen_bars, five_minute_bars, minute_start, one_minute_bars
from silver.closing import BarKey
from silver.few_bars import SUMS_OF_TRADES, few_bars, few_candle_bars, few_chosen_bars, few_five_minute_bars
from silver.few_trends import few_trends
from silver.once import run_once
from silver.tables import TRADES
from silver.trends import six_minute_trends

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC = pa.timestamp("us", tz="UTC")
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def bars_of(lake: Lake, keys: Collection[BarKey], where: AnyOf, candles: pa.Table) -> pa.Table:
    """Make the bars of minutes, and maybe of some more, from their trades and candles.

    Args:
        lake: where the trades are.
        keys: the minutes, at least one.
        where: what holds for the trades of these minutes.
        candles: those of the same time.

    Returns:
        columns of silver.one_minute_bars without `revised_at`.
    """

    def past_spark() -> pa.Table:
        sums = lake.select(TRADES, SUMS_OF_TRADES, where, keys=keys_table(keys, "minute"))
        return few_chosen_bars(few_bars(sums), few_candle_bars(candles))

    return _either_way(lake, past_spark, lambda: _bars_by_spark(lake, keys, where, candles))


def five_minutes_of(lake: Lake, bars: pa.Table) -> pa.Table:
    """Make the five-minute bars of one-minute bars: columns of silver.five_minute_bars without `revised_at`."""

    def by_spark() -> pa.Table:
        with run_once(lake, bars.num_rows):
            return five_minute_bars(frame_of(lake.spark, bars)).toArrow()

    return _either_way(lake, lambda: few_five_minute_bars(bars), by_spark)


def trends_of(lake: Lake, bars: pa.Table) -> pa.Table:
    """Make the trends of one-minute bars: columns of silver.six_minute_trends without `revised_at`."""
    if lake.in_folders:
        return few_trends(bars)
    with run_once(lake, bars.num_rows):
        return six_minute_trends(frame_of(lake.spark, bars)).toArrow()


def keys_table(keys: Iterable[BarKey], time: str) -> pa.Table:
    """Rows of venue, symbol and the time, under that name."""
    venues, symbols, starts_us = zip(*keys, strict=True)
    columns = {"venue": pa.array(venues), "symbol": pa.array(symbols), time: pa.array(starts_us, pa.int64()).cast(_UTC)}
    return pa.table(columns)


def _either_way(lake: Lake, past_spark: Callable[[], pa.Table], by_spark: Callable[[], pa.Table]) -> pa.Table:
    if lake.in_folders:
        try:
            return past_spark()
        except OutOfRangeError:
            pass  # a sum so large that Spark has to say which one is null
    return by_spark()


def _bars_by_spark(lake: Lake, keys: Collection[BarKey], where: AnyOf, candles: pa.Table) -> pa.Table:
    # Most candles are of the time before we listened: days of them, which no trade has to be compared with. Where there
    # are none, the files of the trades need not be looked through to know that.
    since = _first_traded_minute(lake) if candles.num_rows else _EPOCH
    traded, before = [key for key in keys if key.minute >= since], candles.filter(pc.field("minute") < since)
    rows = lake.settings.lake.arrow_rows if traded else len(keys)
    with run_once(lake, rows):
        parts = []
        if traded:
            trades = lake.read(TRADES).where(fulfils(where))
            parts.append(_traded_bars(lake, trades, traded, candles.filter(pc.field("minute") >= since)))
        if before.num_rows or not parts:
            parts.append(candle_bars(frame_of(lake.spark, before)))
        return reduce(DataFrame.unionByName, parts).toArrow()


def _traded_bars(lake: Lake, trades: DataFrame, keys: Sequence[BarKey], candles: pa.Table) -> DataFrame:
    touched = f.broadcast(frame_of(lake.spark, keys_table(keys, "minute")))
    of_minutes = trades.withColumn("minute", minute_start(f.col("event_time"))).join(touched, [*KEY], "left_semi")
    bars = one_minute_bars(of_minutes)
    if not candles.num_rows:
        return bars
    return chosen_bars(bars, candle_bars(frame_of(lake.spark, candles).join(touched, [*KEY], "left_semi")))


def _first_traded_minute(lake: Lake) -> datetime:
    first = lake.earliest(TRADES, "event_time")
    return _END_OF_TIME if first is None else first - (first - _EPOCH) % timedelta(minutes=1)
