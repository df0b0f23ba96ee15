"""Reads what a table of silver may hold copies of."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from lakehouse.conditions import spanning
from lakehouse.lake import Lake
from silver.kinds import RowKind


def stored_between(lake: Lake, kind: RowKind, earliest_us: int, latest_us: int) -> DataFrame | None:
    """Read the rows of a kind between two times, both included.

    Args:
        lake: where they are.
        kind: of the rows; a copy has its time, for it is part of the key.
        earliest_us: UTC, microseconds.
        latest_us: the same.

    Returns:
        None where the table is known to be empty: so it costs nothing.
    """
    if lake.is_empty(kind.table):
        return None
    earliest, latest = (f.timestamp_micros(f.lit(us)) for us in (earliest_us, latest_us))
    return lake.read(kind.table).where(f.col(kind.time).between(earliest, latest))


def stored_beside(lake: Lake, kind: RowKind, rows: pa.Table) -> pa.Table | None:
    """Read into memory the rows of a kind between the earliest and the latest time of some.

    Args:
        lake: where they are.
        kind: of the rows.
        rows: of this kind, at least one.

    Returns:
        None where the table is known to be empty.
    """
    if lake.is_empty(kind.table):
        return None
    return lake.rows_where(kind.table, [spanning(kind.time, rows)])
