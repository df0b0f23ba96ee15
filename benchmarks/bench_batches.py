"""What live batches cost as the lake grows, without a Spark job: python -m benchmarks.bench_batches [TRADES [FRAMES]].

Batches of 1,000 frames of 400 symbols are landed and refined one after the other; what came out is checked before the
seconds and cpu-s a batch are printed, of the first fifth of the batches and of the last. Copies, malformed frames and
trades out of order are among them, late ones are not: they leave gaps, and to close these takes Spark.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import pyarrow as pa

from benchmarks.load import TOPIC, Faults, Load
from benchmarks.oracle import Tables, check_rows
from benchmarks.publish import records_of
from bronze.record import Record
from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema, padded
from lakehouse.home import lake_folder
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from silver.refine import Refine


def main(trades: int = 40_000, size: int = 1_000) -> None:
    """Carry a load in batches of a size."""
    load, took = Load(trades, faults=Faults(late=0)), []
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder))
        lake = Lake(None, settings)  # type: ignore[arg-type] # no Spark job
        lake.create(FRAMES, *Refine.writes)
        refine = Refine(lake)
        records = records_of(load.frames())
        offset = 0
        while batch := list(islice(records, size)):
            began_s, cpu_s = time.perf_counter(), time.process_time()
            rows = _frames(batch, offset)
            version = lake.append_rows(FRAMES, rows)
            refine.run(rows, version or 0).release()
            took.append((time.perf_counter() - began_s, time.process_time() - cpu_s))
            offset += len(batch)
        check_rows([load], Tables.of(lake_folder(settings)))
    fifth = max(1, len(took) // 5)
    print(f"{os.cpu_count()} cores, {len(took)} batches of {size:,} frames, medians of a fifth of them")
    for name, some in (("first", took[:fifth]), ("last", took[-fifth:])):
        seconds, used_s = (median(each) for each in zip(*some, strict=True))
        print(f"{name:>5} {seconds:6.3f} s {used_s:6.3f} cpu-s")


def _frames(records: Sequence[Record], first: int) -> pa.Table:
    schema, count = contract_schema(FRAMES), len(records)
    received = pa.array([record.received_at_us for record in records], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    columns = {
        "topic_id": pa.repeat("T", count),
        "topic": pa.repeat(TOPIC, count),
        "partition": pa.repeat(pa.scalar(0, pa.int32()), count),
        "offset": pa.array(range(first, first + count), pa.int64()),
        "received_at": received,
    }
    for name in ("venue", "channel", "key", "session_id", "sequence", "origin", "payload"):
        columns[name] = pa.array([getattr(record, name) for record in records], schema.field(name).type)
    return pa.table(padded(columns, count, schema), schema=schema)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
