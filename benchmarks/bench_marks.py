"""What a step's mark adds to an append: python -m benchmarks.bench_marks prints seconds an append, by three ways.

none: rows alone; note: with all marks of the table in the commit's user metadata, as the lake writes them; txn: rows
with the mark as a transaction of Delta's, which makes Delta compute the whole state of the table for a question that
the lake has answered already.

CRYPTOLAKE__SPARK__JAVA_OPTIONS=-XX:ReservedCodeCacheSize=240m gives the JVM both of its compilers.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pyspark.sql import SparkSession

from bronze.tables import FRAMES
from lakehouse.lake import Lake
from lakehouse.marks import note_of
from lakehouse.session import spark_session
from lakehouse.settings import load_settings

ROUNDS = 3
APPENDS = 10
ROWS = 200
RECEIVED = datetime(2024, 8, 9, tzinfo=UTC)


def main() -> None:
    """Append to bronze.frames of a lake of its own, by each way in turn, after a first round that warms Spark up."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder))
        spark = spark_session(settings)
        try:
            _measure(spark, Lake(spark, settings))
        finally:
            spark.stop()


def _measure(spark: SparkSession, lake: Lake) -> None:
    lake.create(FRAMES)
    taken: dict[str, list[float]] = {way: [] for way in ("none", "note", "txn")}
    for turn in range(ROUNDS + 1):
        for way, seconds in taken.items():
            for number in range(APPENDS):
                took_s = _append(spark, lake, _options(way, turn * APPENDS + number + 1))
                seconds += [took_s] if turn else []
    print(f"{os.cpu_count()} cores, appends of {ROWS} rows to bronze.frames, medians of {ROUNDS * APPENDS}, s")
    for way, seconds in taken.items():
        print(f"{way:>5} {median(seconds):6.3f}")


def _options(way: str, version: int) -> Mapping[str, str]:
    if way == "txn":
        return {"txnAppId": "bench", "txnVersion": str(version)}
    return {"userMetadata": note_of({"bench": version})} if way == "note" else {}


def _append(spark: SparkSession, lake: Lake, options: Mapping[str, str]) -> float:
    rows = [
        ("topic", "binance.trade", 0, offset, "binance", "trade", None, "s", offset, RECEIVED, "stream", b"{}")
        for offset in range(ROWS)
    ]
    frame = spark.createDataFrame([(*row, RECEIVED, RECEIVED) for row in rows], FRAMES.schema).coalesce(1)
    start = time.perf_counter()
    frame.write.format("delta").mode("append").options(**options).save(str(lake.path(FRAMES)))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
