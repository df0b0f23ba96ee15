"""Conditions on rows, told to Spark, to Arrow, and to the bounds that a table's log holds of each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as f

Condition = Sequence[tuple[str, str, Any]]  # a column, a sign of _IN_SPARK, what it is compared with; all must hold
AnyOf = Sequence[Condition]
Spans = Sequence[tuple[datetime, datetime]]  # starts and ends, ends excluded
_IN_SPARK: Mapping[str, Callable[[Column, Any], Column]] = {
    "=": lambda column, value: column == f.lit(value),
    ">=": lambda column, value: column >= f.lit(value),
    "<": lambda column, value: column < f.lit(value),
    "<=": lambda column, value: column <= f.lit(value),
    "in": lambda column, values: column.isin(*values),
    "not in": lambda column, values: ~column.isin(*values),
}
# Bounds of times are cut to this.
_MILLISECOND = timedelta(milliseconds=1)


def in_spans(column: str, spans: Spans) -> AnyOf:
    """Say that a time lies in one of the spans."""
    return [[(column, ">=", start), (column, "<", end)] for start, end in spans]


def fulfils(any_of: AnyOf) -> Column:
    """Say to Spark whether a row fulfils one of the conditions, of which there is at least one."""
    return reduce(
        or_, [reduce(and_, [_IN_SPARK[sign](f.col(name), value) for name, sign, value in all_of]) for all_of in any_of]
    )


def files_to_read(files: pa.Table, any_of: AnyOf) -> pa.Table:
    """Take the files whose bounds do not say that no row of theirs fulfils one of the conditions.

    Args:
        files: what `DeltaTable.get_add_actions` tells of them.
        any_of: no condition takes all files.
    """
    if not any_of or not files.num_rows:
        return files
    return files.filter(reduce(or_, [reduce(and_, [_may(files, *one) for one in all_of]) for all_of in any_of]))


def _may(files: pa.Table, name: str, sign: str, value: Any) -> pc.Expression:
    if sign == "not in" or name not in _bounded(files):
        return pc.scalar(True)
    least, most = (min(value), max(value)) if sign == "in" else (value, value)
    low, high = pc.field("min", name), pc.field("max", name)
    if isinstance(least, datetime):
        least -= _MILLISECOND
    reaches_down = (low <= pa.scalar(most)) | low.is_null()  # a file without bounds may hold anything
    reaches_up = (high >= pa.scalar(least)) | high.is_null()
    if sign == ">=":
        return reaches_up
    return reaches_down if sign in ("<", "<=") else reaches_down & reaches_up


def _bounded(files: pa.Table) -> list[str]:
    return list(files.schema.field("min").type.names) if "min" in files.schema.names else []
