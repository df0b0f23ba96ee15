"""What a batch costs in memory and by Spark: python -m benchmarks.bench_few prints seconds and cpu-s a batch.

A batch is of Binance trades, one in ten of CoinCap instead and one in a hundred malformed, each frame new. Every size
is refined by both ways in turn, after rounds that warm Spark up; then 200 rows are appended to bronze by both ways.

CRYPTOLAKE__SPARK__JAVA_OPTIONS=-XX:ReservedCodeCacheSize=240m gives the JVM both of its compilers.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

import pyarrow as pa

from benchmarks.bench_settle import jvm_cpu_s
from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema, frame_of
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import load_settings
from silver.refine import Refine
from silver.symbol_table import seed

SIZES = (100, 1_000, 10_000)
WARM, ROUNDS = 3, 5
APPENDED = 200
RECEIVED_US = 1_723_161_255_000_000
_offsets = count(1)


def main() -> None:
    """Refine batches of each size by both ways, and append by both ways."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder))
        spark = spark_session(settings)
        lake = Lake(spark, settings)
        lake.create(FRAMES, *Refine.writes)
        seed(lake)
        by_spark = settings.model_copy(update={"lake": settings.lake.model_copy(update={"few_frames": 0})})
        version = count(1)
        print(f"{os.cpu_count()} cores, medians of {ROUNDS} after {WARM}")
        for size in SIZES:
            for way, of_way in (("in memory", settings), ("by Spark", by_spark)):
                refine = Refine(Lake(spark, of_way))

                def refined(refine: Refine = refine, size: int = size) -> Callable[[], object]:
                    cached = frame_of(spark, frames(size)).persist()
                    cached.count()
                    return lambda: refine.run(cached, next(version)).release()

                _print(f"refine {size:6,} frames {way}", refined)
        rows = frames(APPENDED)
        cached = frame_of(spark, rows).persist()
        cached.count()
        _print(f"append {APPENDED} rows by delta-rs", lambda: lambda: lake.append_rows(FRAMES, rows))
        _print(f"append {APPENDED} rows by Spark", lambda: lambda: lake.append(FRAMES, cached))
        spark.stop()


def _print(what: str, prepared: Callable[[], Callable[[], object]]) -> None:
    took: list[tuple[float, float]] = []
    for _ in range(WARM + ROUNDS):
        work = prepared()
        began_s, cpu_s = time.perf_counter(), jvm_cpu_s() + time.process_time()
        work()
        took.append((time.perf_counter() - began_s, jvm_cpu_s() + time.process_time() - cpu_s))
    seconds, used_s = map(median, zip(*took[WARM:], strict=True))
    print(f"{what}: {seconds:.3f} s, {used_s:.3f} cpu-s", flush=True)


def frames(number: int) -> pa.Table:
    """Frames as landing writes them."""
    return pa.Table.from_pylist([_frame(next(_offsets)) for _ in range(number)], contract_schema(FRAMES))


def _frame(offset: int) -> dict[str, object]:
    venue, payload = "binance", _BINANCE % (offset, RECEIVED_US // 1000)
    if offset % 10 == 0:
        venue, payload = "coincap-bitso", _COINCAP % (RECEIVED_US // 1000)
    if offset % 100 == 1:
        payload = "garbage"
    place = {"topic_id": "t", "topic": f"{venue}.trade", "partition": 0, "offset": offset}
    headers = {"venue": venue, "channel": "trade", "key": "k", "session_id": "s", "sequence": offset}
    times = {"received_at": RECEIVED_US, "kafka_time": RECEIVED_US, "ingested_at": RECEIVED_US}
    return {**place, **headers, **times, "origin": "stream", "payload": payload.encode()}


_BINANCE = (
    '{"e":"trade","E":1723161254124,"s":"BTCUSDT","t":%d,"p":"61837.63000000","q":"0.02000000",'
    '"T":%d,"m":true,"M":true}'
)
_COINCAP = (
    '{"exchange":"bitso","base":"bitcoin","quote":"tether","direction":"buy","price":19365.59,"volume":0.07,'
    '"timestamp":%d,"priceUsd":19371.06}'
)


if __name__ == "__main__":
    main()
