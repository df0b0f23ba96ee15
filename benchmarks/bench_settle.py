"""What it costs to settle a minute, and five at once: python -m benchmarks.bench_settle prints a line a minute.

The minutes are of two symbols; the medians at the end leave out the first minutes, in which Spark still warms up.
Arguments like spark.sql.constraintPropagation.enabled=true change the session, to see what a line of it gives.

JDK_JAVA_OPTIONS=-XX:TieredStopAtLevel=1 gives the quick compiler of the demo and the tests.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import load_settings
from silver.aggregate import Aggregate
from silver.tables import TABLES, TRADES

MINUTES = 26
WARM_FROM = 6
START = datetime(2024, 8, 9, tzinfo=UTC)
SYMBOLS = ("A-USDT", "B-USDT")


def main() -> None:
    """Settle one minute after another and print what each took."""
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home))
        spark = spark_session(settings, dict(argument.split("=", 1) for argument in sys.argv[1:]))
        lake = Lake(spark, settings)
        lake.create(*TABLES)
        aggregate = Aggregate(lake)
        jobs = spark.sparkContext.statusTracker()
        warm: dict[str, list[tuple[float, float, int]]] = {"a minute": [], "a fifth minute": []}
        for minute in range(MINUTES):
            rows = spark.createDataFrame([trade(minute, symbol) for symbol in SYMBOLS], TRADES.schema)
            lake.append(TRADES, rows)
            began_s, cpu_s, before = time.monotonic(), jvm_cpu_s(), len(jobs.getJobIdsForGroup(None))
            settled = aggregate.run(rows, lake.version(TRADES))
            took_s, used_s = time.monotonic() - began_s, jvm_cpu_s() - cpu_s
            ran = len(jobs.getJobIdsForGroup(None)) - before
            print(f"minute {minute}: {len(settled)} bars in {took_s:.2f} s, {used_s:.2f} cpu-s, {ran} Spark jobs")
            if minute >= WARM_FROM:
                # The trade of minute 5 closes minute 4, and with it the first five.
                warm["a fifth minute" if minute % 5 == 0 else "a minute"].append((took_s, used_s, ran))
        for name, costs in warm.items():
            took_s, used_s, ran = map(median, zip(*costs, strict=True))
            print(f"median of {len(costs)}: {name} {took_s:.2f} s, {used_s:.2f} cpu-s, {ran:.0f} Spark jobs")
        spark.stop()


def trade(minute: int, symbol: str) -> tuple[Any, ...]:
    """One trade, fifteen seconds into the minute, so that the next one closes it."""
    time_utc = START + timedelta(minutes=minute, seconds=15)
    row = dict.fromkeys(TRADES.columns) | {"venue": "binance", "symbol": symbol, "trade_key": str(minute), "row": 0}
    row |= {"trade_id": minute, "side": "buy", "price": Decimal(10 + minute), "quantity": Decimal(2), "partition": 0}
    row |= {"event_time": time_utc, "received_at": time_utc, "topic": "binance.trade", "session_id": "s", "sequence": 0}
    return tuple(row[name] for name in TRADES.columns)


def jvm_cpu_s() -> float:
    """Processor time of this process's JVM."""
    pid = os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for child in children:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
