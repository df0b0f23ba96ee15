"""What it costs to settle minutes, past Spark and by it: python -m benchmarks.bench_settle prints a line for each.

A small batch closes a minute of two symbols, as on a quiet market; a large one is 500,000 trades of 400 symbols, as a
catch-up brings. The medians leave out the first batches, in which Spark still warms up.
Arguments like spark.sql.constraintPropagation.enabled=true change the session, to see what a line of it gives.

CRYPTOLAKE__SPARK__JAVA_OPTIONS=-XX:ReservedCodeCacheSize=240m gives the JVM both of its compilers.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from lakehouse.arrow import contract_schema, padded
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import load_settings
from silver.aggregate import Aggregate
from silver.tables import TABLES, TRADES

SMALL, WARM_FROM = 26, 6  # batches of a minute each
LARGE, LARGE_WARM_FROM = 4, 1
LARGE_TRADES, LARGE_SYMBOLS, LARGE_S = 500_000, 400, 500
START = datetime(2024, 8, 9, tzinfo=UTC)
_UTC = pa.timestamp("us", tz="UTC")


class BySpark(Lake):
    """Makes its figures as in a catalog."""

    in_folders = False


def main() -> None:
    """Settle batch after batch by both ways and print what they took."""
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home))
        spark = spark_session(settings, dict(argument.split("=", 1) for argument in sys.argv[1:]))
        for way in (Lake, BySpark):
            for batches, warm_from in ((small_batches(), WARM_FROM), (large_batches(), LARGE_WARM_FROM)):
                own = settings.model_copy(update={"home": Path(tempfile.mkdtemp(dir=home))})
                measure(way(spark, own), batches, warm_from)
        spark.stop()


def measure(lake: Lake, batches: Iterator[pa.Table], warm_from: int) -> None:
    """Settle them on new tables, and print the first one and the median of the warm ones."""
    lake.create(*TABLES)
    aggregate = Aggregate(lake)
    costs = []
    for number, rows in enumerate(batches):
        lake.append_rows(TRADES, rows)
        began_s, cpu_s = time.monotonic(), processor_s()
        settled = aggregate.run(rows, lake.version(TRADES))
        costs.append((time.monotonic() - began_s, processor_s() - cpu_s))
        if number == warm_from:
            print(f"{type(lake).__name__}: {rows.num_rows} trades a batch, {len(settled)} bars settled by one")
    for name, some in (("the first", costs[:1]), ("median of the warm", costs[warm_from:])):
        took_s, used_s = map(median, zip(*some, strict=True))
        print(f"  {name}: {took_s:.2f} s, {used_s:.2f} cpu-s")


def small_batches() -> Iterator[pa.Table]:
    """Two trades a minute, fifteen seconds into it, so that the next one closes it."""
    for minute in range(SMALL):
        yield trades(np.full(2, 60 * minute + 15) * 1_000_000, np.arange(2), np.full(2, minute))


def large_batches() -> Iterator[pa.Table]:
    """As many trades as landing takes at once, by Zipf's law over many symbols, 0.1 % of them up to a minute late."""
    chance = np.random.default_rng(1)
    weights = 1 / np.arange(1, LARGE_SYMBOLS + 1)
    for batch in range(LARGE):
        numbers = batch * LARGE_TRADES + np.arange(LARGE_TRADES)
        late_us = np.where(chance.random(LARGE_TRADES) < 0.001, chance.integers(10_000_000, 60_000_000), 0)
        symbols = chance.choice(LARGE_SYMBOLS, LARGE_TRADES, p=weights / weights.sum())
        yield trades(numbers * LARGE_S * 1_000_000 // LARGE_TRADES - late_us, symbols, numbers)


def trades(after_us: np.ndarray, symbols: np.ndarray, numbers: np.ndarray) -> pa.Table:
    """Rows of silver.trades, so long after the start, with these ids."""
    count, schema = len(numbers), contract_schema(TRADES)
    start_us = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    times = pa.array(start_us + after_us, pa.int64()).cast(_UTC)
    columns = {
        "venue": pa.repeat("binance", count),
        "symbol": pa.array([f"S{symbol}-USDT" for symbol in symbols]),
        "trade_id": pa.array(numbers, pa.int64()),
        "trade_key": pa.array(numbers, pa.int64()).cast(pa.string()),
        "row": pa.repeat(0, count),
        "side": pa.array(np.where(numbers % 3 == 0, "buy", "sell")),
        "price": pa.array(1 + numbers % 99_991, pa.int32()),
        "quantity": pa.array(1 + numbers % 997, pa.int32()),
        "event_time": times,
        "received_at": times,
        "topic": pa.repeat("binance.trade", count),
        "partition": pa.array(symbols % 3, pa.int32()),
        "session_id": pa.repeat("s", count),
        "sequence": pa.array(numbers, pa.int64()),
    }
    return pa.table(padded(columns, count, schema), schema=schema)


def processor_s() -> float:
    """Processor time of this process and of its JVM."""
    pid = os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for child in children:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
