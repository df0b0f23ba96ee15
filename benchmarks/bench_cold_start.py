"""What a first start costs: python -m benchmarks.bench_cold_start prints a line for each part of it.

A session, all tables, then two days of one-minute candles of 20 symbols (57,600) refined, and bars of one and five
minutes made of them: what a lake has done before the demo's first bar is seen. Arguments like
spark.sql.constraintPropagation.enabled=true change the session, to see what a line of it gives.

CRYPTOLAKE__SPARK__JAVA_OPTIONS=-XX:ReservedCodeCacheSize=240m gives the JVM both of its compilers.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.bench_settle import jvm_cpu_s
from bronze import tables as bronze_tables
from bronze.tables import FRAMES
from gold import tables as gold_tables
from lakehouse.arrow import contract_schema, frame_of
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import load_settings
from silver import tables as silver_tables
from silver.aggregate import Aggregate
from silver.refine import Refine
from silver.tables import FIVE_MINUTE_BARS, ONE_MINUTE_BARS

BASES = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "LINK", "AVAX")
SYMBOLS = tuple(base + quote for base in BASES for quote in ("USDT", "USDC"))
MINUTES = 2 * 1440
A_BODY = 960
START = datetime(2024, 8, 9, tzinfo=UTC)


def main() -> None:
    """Run the parts one after another."""
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home))
        extra = dict(argument.split("=", 1) for argument in sys.argv[1:])
        print(f"{os.cpu_count()} cores; wall and the JVM's processor time")
        spark = _timed("session", lambda: spark_session(settings, extra))
        try:
            lake = Lake(spark, settings)
            tables = (*bronze_tables.TABLES, *silver_tables.TABLES, *gold_tables.TABLES)
            _timed(f"{len(tables)} tables", lambda: lake.create(*tables))
            bodies = pa.Table.from_pylist(list(_bodies()), contract_schema(FRAMES))
            _timed("bronze", lambda: lake.append(FRAMES, frame_of(spark, bodies)))
            _timed("refine", lambda: Refine(lake).drain())
            _timed("aggregate", lambda: Aggregate(lake).drain())
            made = [lake.read(table).count() for table in (ONE_MINUTE_BARS, FIVE_MINUTE_BARS)]
            if made != [len(SYMBOLS) * MINUTES, len(SYMBOLS) * MINUTES // 5]:
                raise SystemExit(f"bars of one and five minutes: {made}")
        finally:
            spark.stop()


def _timed(name: str, run: Callable[[], Any]) -> Any:
    began_s, cpu_s = time.monotonic(), jvm_cpu_s()
    result = run()
    print(f"{name:>10} {time.monotonic() - began_s:6.1f} s {jvm_cpu_s() - cpu_s:6.1f} cpu-s", flush=True)
    return result


def _bodies() -> Iterator[dict[str, Any]]:
    received = START + timedelta(minutes=MINUTES + 1)
    frames = ((symbol, first) for symbol in SYMBOLS for first in range(0, MINUTES, A_BODY))
    for offset, (symbol, first) in enumerate(frames):
        payload = json.dumps([_candle(minute) for minute in range(first, first + A_BODY)], separators=(",", ":"))
        yield {
            **{"topic_id": "T", "topic": "binance.kline", "partition": 0, "offset": offset, "venue": "binance"},
            **{"channel": "kline", "key": symbol, "session_id": "s", "sequence": offset, "received_at": received},
            **{"origin": "backfill", "payload": payload.encode(), "kafka_time": received, "ingested_at": received},
        }


def _candle(minute: int) -> list[Any]:
    open_ms = int((START + timedelta(minutes=minute)).timestamp() * 1000)
    cents = 100_000 + 37 * minute % 1_009
    prices = [f"{(cents + step) / 100:.8f}" for step in (0, 50, -50, 20)]
    return [open_ms, *prices, "12.50000000", open_ms + 59_999, f"{cents / 8:.8f}", 10, "6.00000000", "6000.0", "0"]


if __name__ == "__main__":
    main()
