"""What it costs to look up what may be stored already: python -m benchmarks.bench_copies prints seconds and cpu-s.

The table holds 200 commits of 1,000 trades each, of 400 symbols. Asked for is what a live batch may hold copies of: ten
trades of the last five seconds; by ranges of ids of their symbols, and by their time first.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.load import Load
from lakehouse.arrow import contract_schema, padded
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from silver.few_spans import spans_of
from silver.high_water import HighWater
from silver.stored import stored_trades
from silver.tables import TRADES

COMMITS, ROWS = 200, 1_000
RECENT, COPIES = 5_000, 10
ROUNDS = 5
_UTC = pa.timestamp("us", tz="UTC")


def main() -> None:
    """Make the table, and ask it in both ways."""
    trades = _trades(Load(COMMITS * ROWS))
    high_water = HighWater()
    high_water.advance(spans_of(trades), version=0)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(None, load_settings(home=Path(folder)))  # type: ignore[arg-type] # no Spark job
        lake.create(TRADES)
        for first in range(0, trades.num_rows, ROWS):
            lake.append_rows(TRADES, trades.slice(first, ROWS))
        copies = trades.take(pa.array(range(trades.num_rows - RECENT, trades.num_rows, RECENT // COPIES)))
        print(f"{os.cpu_count()} cores, {COMMITS} commits of {ROWS} trades, medians of {ROUNDS}")
        _print("by ranges of ids", lambda: high_water.copies_of(lake, spans_of(copies), copies))
        _print("by time first", lambda: stored_trades(lake, copies))


def _print(what: str, ask: Callable[[], pa.Table | None]) -> None:
    took: list[tuple[float, float]] = []
    for _ in range(1 + ROUNDS):
        began_s, cpu_s = time.perf_counter(), time.process_time()
        found = ask()
        took.append((time.perf_counter() - began_s, time.process_time() - cpu_s))
    seconds, used_s = (median(each) for each in zip(*took[1:], strict=True))
    print(f"{what:>17} {seconds:6.3f} s {used_s:6.3f} cpu-s, {found.num_rows if found is not None else 0} rows read")


def _trades(load: Load) -> pa.Table:
    ledger = pa.concat_tables(load.ledger()).combine_chunks()
    schema, count = contract_schema(TRADES), ledger.num_rows
    times = pc.multiply(ledger["event_ms"], 1_000).cast(_UTC)
    columns = {
        "venue": pa.repeat("binance", count),
        "symbol": ledger["symbol"],
        "trade_key": ledger["trade_id"].cast(pa.string()),
        "trade_id": ledger["trade_id"],
        "event_time": times,
        "received_at": times,
        **{name: pa.repeat(pa.scalar(Decimal(1), schema.field(name).type), count) for name in ("price", "quantity")},
        "side": pa.repeat("buy", count),
    }
    return pa.table(padded(columns, count, schema), schema=schema)


if __name__ == "__main__":
    main()
