"""What one upkeep of 2,000 small files gives and costs: python -m benchmarks.bench_compacted.

What a start of the lake's process reads, before and after; and the upkeep itself beside delta-rs's own compaction and
Spark's OPTIMIZE of the same table: how long it takes, and how long nothing else can be done meanwhile.

CRYPTOLAKE__SPARK__JAVA_OPTIONS=-XX:ReservedCodeCacheSize=240m gives the JVM both of its compilers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from benchmarks.bench_few import frames
from benchmarks.bench_settle import jvm_cpu_s
from benchmarks.grown_lakes import consumed, kept_for, trades
from benchmarks.result_files import Result, check_rows, write_result
from bronze.land import Land
from bronze.tables import FRAMES
from cryptolake.maintain import maintain
from cryptolake.reader import LakeReader
from lakehouse.lake import Lake, Txn
from lakehouse.maintenance.grouping import Worth
from lakehouse.maintenance.tending import Tending
from lakehouse.session import spark_session
from lakehouse.settings import load_settings
from silver.high_water import HighWater
from silver.tables import SIX_MINUTE_TRENDS, TRADES

SMALL_FILES, FILE_ROWS = 2_000, 100
ROUNDS = 3


def main() -> None:
    """Fill a lake, measure, tend it, and measure again."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder) / "home")
        spark = spark_session(settings)
        try:
            write_result(
                "compacted", _measured(spark, Lake(spark, kept_for(settings, keep_log_s=0.0, keep_files_s=0.0)))
            )
        finally:
            spark.stop()


def _measured(spark: SparkSession, lake: Lake) -> Result:
    lake.create(FRAMES, TRADES, SIX_MINUTE_TRENDS)
    for number in range(SMALL_FILES):
        lake.append_rows(FRAMES, frames(FILE_ROWS), Txn("bench", number + 1))
        lake.append_rows(TRADES, trades(number, FILE_ROWS), Txn(lake.app_id(TRADES, "refine", FRAMES), number + 1))
    consumed(lake)
    ways = _ways(spark, lake)
    reads = _reads(lake)
    for read in reads.values():
        read()  # Spark warms up
    before = {name: _median_s(lake, read) for name, read in reads.items()}
    began_s = time.perf_counter()
    done = list(maintain(lake))
    tended_s = time.perf_counter() - began_s
    after = {name: _median_s(lake, read) for name, read in reads.items()}
    for table in (FRAMES, TRADES):
        check_rows(lake, table, SMALL_FILES * FILE_ROWS)
    print(f"{os.cpu_count()} cores; 2 tables of {SMALL_FILES:,} files of {FILE_ROWS} rows, medians of {ROUNDS}, s")
    for name in reads:
        print(f"{name:>44}: {before[name]:7.3f} -> {after[name]:7.3f}")
    print(
        f"tended within {tended_s:.1f} s: "
        + ", ".join(f"{one.table} {one.before.files:,} files -> {one.after.files:,}" for one in done)
    )
    for way, of_way in ways.items():
        print(f"{way:>44}: {of_way}")
    return {"ways": ways, "before_s": before, "after_s": after, "tended_s": round(tended_s, 1)}


def _ways(spark: SparkSession, lake: Lake) -> Result:
    """Compact copies of silver.trades by each way."""
    told: Result = {}
    for way in ("delta-rs", "Spark", "upkeep"):
        other = Lake(spark, lake.settings.model_copy(update={"home": lake.settings.home.parent / way}))
        for table in (TRADES, SIX_MINUTE_TRENDS):
            shutil.copytree(lake.path(table), other.path(table))
        began_s, cpu_s = time.perf_counter(), jvm_cpu_s() + time.process_time()
        told[way] = {"delta-rs": _by_delta_rs, "Spark": _by_spark, "upkeep": _by_pieces}[way](other)
        told[way]["within_s"] = round(time.perf_counter() - began_s, 2)
        told[way]["cpu_s"] = round(jvm_cpu_s() + time.process_time() - cpu_s, 2)
        check_rows(other, TRADES, SMALL_FILES * FILE_ROWS)
        told[way]["files"] = _new(other).past_spark(TRADES).get_add_actions().num_rows
    return told


def _by_delta_rs(lake: Lake) -> Result:
    DeltaTable(str(lake.path(TRADES))).optimize.compact()
    return {}


def _by_spark(lake: Lake) -> Result:
    lake.spark.sql(f"OPTIMIZE {lake.identifier(TRADES)}")
    return {}


def _by_pieces(lake: Lake) -> Result:
    held_s, pieces_s = [0.0], [0.0]

    @contextmanager
    def hold() -> Iterator[None]:
        began_s = time.perf_counter()
        yield
        held_s.append(time.perf_counter() - began_s)

    work = Tending(lake, TRADES, hold, lambda: lake.version(TRADES) + 1).steps(Worth.by_and_by)
    began_s = time.perf_counter()
    for _ in work:
        pieces_s.append(time.perf_counter() - began_s)
        began_s = time.perf_counter()
    return {"longest_piece_s": round(max(pieces_s), 3), "longest_hold_s": round(max(held_s), 3)}


def _reads(lake: Lake) -> dict[str, Callable[[], object]]:
    checkpoint = lake.settings.home / "checkpoints" / "land"
    counted = "SELECT count(*) AS n, max(event_time) AS newest FROM trades"
    return {
        "Land asks bronze for its offsets": lambda: Land(_new(lake), dict, checkpoint),
        "refine asks silver for its ids": lambda: HighWater().refresh(_new(lake)),
        "delta-rs loads both tables": lambda: [_new(lake).version(table) for table in (FRAMES, TRADES)],
        "`sql`: count and newest of silver.trades": lambda: LakeReader(lake.settings).rows(counted, trades=TRADES.name),
        "minute of trades for a bar (rows_where)": lambda: _new(lake).rows_where(TRADES, _a_minute()),
        "audit reads all keys (pyarrow)": lambda: DeltaTable(str(lake.path(TRADES))).to_pyarrow_table(
            columns=["trade_key"]
        ),
    }


def _a_minute() -> list[list[tuple[str, str, datetime]]]:
    newest = trades(SMALL_FILES - 1, FILE_ROWS)["event_time"][-1].as_py()
    return [[("event_time", ">=", newest.replace(second=0, microsecond=0)), ("event_time", "<=", newest)]]


def _new(lake: Lake) -> Lake:
    return Lake(lake.spark, lake.settings)


def _median_s(lake: Lake, read: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        # What Spark has loaded of the logs is forgotten, as in a new process.
        lake.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr] # noqa: SLF001
        began_s = time.perf_counter()
        read()
        taken.append(time.perf_counter() - began_s)
    return round(median(taken), 3)
