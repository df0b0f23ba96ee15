"""Write what silver's trades and candles say about given minutes: their bars, then the trends over them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from lakehouse.faults import fault_point
from lakehouse.lake import Lake, Txn
from lakehouse.table import Table
from silver.bars import KEY, VALUES, candle_bars, chosen_bars, minute_start, one_minute_bars
from silver.closing import MINUTE_US, BarKey, in_order
from silver.once import run_once
from silver.tables import CANDLES, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS, TRADES
from silver.trends import MINUTES_BEFORE, TREND_VALUES, six_minute_trends

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = pa.schema([("venue", pa.string()), ("symbol", pa.string()), ("minute", pa.timestamp("us", tz="UTC"))])
_NEW, _CHANGED, _GONE = "new", "changed", "gone"

Spans = Sequence[tuple[int, int]]


def settle(lake: Lake, keys: Collection[BarKey], txn: Txn | None = None) -> list[BarKey]:
    """Bring the bars of these minutes, and the trends that look back on them, to what trades and candles say.

    Both tables become a function of silver.trades and silver.candles; what they hold already is compared and not
    written again, so a run after a crash between the two writes ends with the same tables. New rows are appended; once
    a stored row has to change, all go by one MERGE, and the changed ones get `revised_at`.

    Args:
        lake: the lake.
        keys: the minutes, whether stored or not.
        txn: the mark of the step, written with the trends when there are any to write.

    Returns:
        the minutes whose bar is new or changed.
    """
    if not keys:
        return []
    with run_once(lake.spark):
        changed = _settle_bars(lake, keys)
        fault_point("after_bars_commit")
        _settle_trends(lake, keys, txn)
        fault_point("after_trends_commit")
    return changed


def keys_frame(spark: SparkSession, keys: Iterable[BarKey]) -> DataFrame:
    """Make a frame of venue, symbol and minute."""
    venues, symbols, minutes_us = zip(*keys, strict=True)
    columns = [pa.array(venues), pa.array(symbols), pa.array(minutes_us, pa.int64()).cast(_KEYS.field("minute").type)]
    return spark.createDataFrame(pa.Table.from_arrays(columns, schema=_KEYS))


def spans(minutes_us: Collection[int], limit: int) -> Spans:
    """Cover minutes with few spans of time, so that files outside them are not read.

    Args:
        minutes_us: starts of minutes.
        limit: the most spans to return; the narrowest gaps are bridged first.

    Returns:
        (start, end) in microseconds, ends excluded, in order.
    """
    starts = sorted(minutes_us)
    gaps = sorted(b - a for a, b in pairwise(starts))
    widest = max(MINUTE_US, gaps[-limit] if len(gaps) >= limit else 0)
    found: list[tuple[int, int]] = []
    for start in starts:
        if found and start + MINUTE_US - found[-1][1] <= widest:
            found[-1] = (found[-1][0], start + MINUTE_US)
        else:
            found.append((start, start + MINUTE_US))
    return found


def _settle_bars(lake: Lake, keys: Collection[BarKey]) -> list[BarKey]:
    where = spans({key.minute_us for key in keys}, lake.settings.lake.settle_ranges)
    touched = f.broadcast(keys_frame(lake.spark, keys))
    trades = _within(lake.read(TRADES), "event_time", where).withColumn("minute", minute_start(f.col("event_time")))
    candles = _within(lake.read(CANDLES), "minute", where)
    bars = chosen_bars(
        one_minute_bars(trades.join(touched, [*KEY], "left_semi")),
        candle_bars(candles.join(touched, [*KEY], "left_semi")),
    )
    return _write(lake, ONE_MINUTE_BARS, bars, touched, where, VALUES, None)


def _settle_trends(lake: Lake, keys: Collection[BarKey], txn: Txn | None) -> None:
    limit = lake.settings.lake.settle_ranges
    ahead = range(MINUTES_BEFORE + 1)
    looking_back = {BarKey(key.venue, key.symbol, key.minute_us + i * MINUTE_US) for key in keys for i in ahead}
    touched = f.broadcast(keys_frame(lake.spark, looking_back))
    where = spans({key.minute_us for key in looking_back}, limit)
    seen = spans({key.minute_us - i * MINUTE_US for key in looking_back for i in (0, MINUTES_BEFORE)}, limit)
    trends = six_minute_trends(_within(lake.read(ONE_MINUTE_BARS), "minute", seen))
    _write(lake, SIX_MINUTE_TRENDS, trends.join(touched, [*KEY], "left_semi"), touched, where, TREND_VALUES, txn)


def _write(
    lake: Lake,
    table: Table,
    computed: DataFrame,
    touched: DataFrame,
    where: Spans,
    values: Sequence[str],
    txn: Txn | None,
) -> list[BarKey]:
    stored = _within(lake.read(table), "minute", where).join(touched, [*KEY], "left_semi")
    # Brought here, not cached: an append to a table plans anew whatever is cached from it, which took 0.8 s a write.
    changes = _changes(computed, stored, values).toArrow()
    kinds = set(changes["change"].unique().to_pylist())
    rows = lake.spark.createDataFrame(changes.filter(pc.field("change") != _GONE))
    revised_at = f.when(f.col("change") == _CHANGED, f.current_timestamp()) if kinds != {_NEW} else f.lit(None)
    rows = rows.withColumn("revised_at", revised_at.cast("timestamp")).select(*table.columns).coalesce(1)
    if kinds == {_NEW}:
        lake.append(table, rows, txn)
    elif kinds:
        gone = lake.spark.createDataFrame(changes.filter(pc.field("change") == _GONE)) if _GONE in kinds else None
        lake.upsert(table, rows, txn, delete=gone, within=_sql(where))
    return _bar_keys(changes.filter(pc.field("change") != _GONE))


def _bar_keys(rows: pa.Table) -> list[BarKey]:
    minutes_us = rows["minute"].cast(pa.int64())
    columns = (rows["venue"], rows["symbol"], minutes_us)
    return in_order([BarKey(*key) for key in zip(*(column.to_pylist() for column in columns), strict=True)])


def _changes(computed: DataFrame, stored: DataFrame, values: Sequence[str]) -> DataFrame:
    now = computed.select(*KEY, f.struct(*values).alias("now"))
    was = stored.select(*KEY, f.struct(*values).alias("was"))
    both = now.join(was, [*KEY], "full_outer")
    change = (
        f.when(f.col("was").isNull(), _NEW)
        .when(f.col("now").isNull(), _GONE)
        .when(~f.col("now").eqNullSafe(f.col("was")), _CHANGED)
    )
    return both.withColumn("change", change).where("change IS NOT NULL").select(*KEY, "now.*", "change")


def _within(frame: DataFrame, column: str, where: Spans) -> DataFrame:
    condition: Column = f.lit(False)
    for start_us, end_us in where:
        condition = condition | ((f.col(column) >= f.lit(_time(start_us))) & (f.col(column) < f.lit(_time(end_us))))
    return frame.where(condition)


def _sql(where: Spans) -> str:
    first_us, end_us = where[0][0], where[-1][1]
    return f"t.minute >= timestamp_micros({first_us}) AND t.minute < timestamp_micros({end_us})"


def _time(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
