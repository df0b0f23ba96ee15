"""Conditions on rows, told to Spark, to Arrow, to SQL, and to the bounds that a table's log holds of each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as f

Condition = Sequence[tuple[str, str, Any]]  # a column, a sign of _IN_SPARK, what it is compared with; all must hold
AnyOf = Sequence[Condition]
Said = TypeVar("Said")
Spans = Sequence[tuple[datetime, datetime]]  # starts and ends, ends excluded
_IN_SPARK: Mapping[str, Callable[[Column, Any], Column]] = {
    "=": lambda column, value: column == f.lit(value),
    ">=": lambda column, value: column >= f.lit(value),
    "<": lambda column, value: column < f.lit(value),
    "<=": lambda column, value: column <= f.lit(value),
    "in": lambda column, values: column.isin(*values),
    "not in": lambda column, values: ~column.isin(*values),
}
_IN_ARROW: Mapping[str, Callable[[pc.Expression, Any], pc.Expression]] = {
    "=": lambda field, value: field == value,
    ">=": lambda field, value: field >= value,
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
    "in": lambda field, values: field.isin(values),
    "not in": lambda field, values: field.is_valid() & ~field.isin(values),
}
# Bounds of times are cut to this.
_MILLISECOND = timedelta(milliseconds=1)


def in_spans(column: str, spans: Spans) -> AnyOf:
    """Say that a time lies in one of the spans."""
    return [[(column, ">=", start), (column, "<", end)] for start, end in spans]


def spanning(column: str, rows: pa.Table) -> Condition:
    """Say that a value lies between the least and the greatest of some rows, of which there is at least one."""
    bounds = pc.min_max(rows[column]).as_py()
    return [(column, ">=", bounds["min"]), (column, "<=", bounds["max"])]


def fulfils(any_of: AnyOf) -> Column:
    """Say to Spark whether a row fulfils one of the conditions, of which there is at least one."""
    return _of_all(any_of, lambda name, sign, value: _IN_SPARK[sign](f.col(name), value))


def matches(any_of: AnyOf) -> pc.Expression:
    """Say the same to Arrow; as in SQL null fulfils none."""
    return _of_all(any_of, lambda name, sign, value: _IN_ARROW[sign](pc.field(name), value))


def where_clause(any_of: AnyOf) -> tuple[str, list[Any]]:
    """Say the same in SQL, as it follows the name of a table, with the values for its question marks."""
    values: list[Any] = []

    def compared(name: str, sign: str, value: Any) -> str:
        several = sign in ("in", "not in")
        values.extend(value if several else [value])
        return f'"{name}" {sign} ' + (f"({', '.join('?' * len(value))})" if several else "?")

    said = " OR ".join(" AND ".join(compared(*one) for one in all_of) for all_of in any_of)
    return f"WHERE {said}" if said else "", values


def files_to_read(files: pa.Table, any_of: AnyOf) -> pa.Table:
    """Take the files whose bounds do not say that no row of theirs fulfils one of the conditions.

    Args:
        files: what `DeltaTable.get_add_actions` tells of them.
        any_of: no condition takes all files.
    """
    if not any_of or not files.num_rows:
        return files
    return files.filter(_of_all(any_of, lambda name, sign, value: _may(files, name, sign, value)))


def _of_all(any_of: AnyOf, compared: Callable[[str, str, Any], Said]) -> Said:
    said: Said = reduce(or_, [reduce(and_, [compared(*one) for one in all_of]) for all_of in any_of])
    return said


def _may(files: pa.Table, name: str, sign: str, value: Any) -> pc.Expression:
    if sign == "not in" or name not in _bounded(files):
        return pc.scalar(True)
    least, most = (min(value), max(value)) if sign == "in" else (value, value)
    low, high = pc.field("min", name), pc.field("max", name)
    if isinstance(least, datetime):
        least -= _MILLISECOND
    reaches_down = (low <= pa.scalar(most)) | low.is_null()  # a file without bounds may hold anything
    reaches_up = (high >= pa.scalar(least)) | high.is_null()
    reaches = reaches_up if sign == ">=" else reaches_down
    if sign in ("=", "in"):
        reaches = reaches_down & reaches_up
    return reaches & _holds_some(files, name)


def _holds_some(files: pa.Table, name: str) -> pc.Expression:
    """Say of each file whether not all of its rows are null there, as the time of a change is in rows never changed."""
    if "null_count" not in files.schema.names or name not in files.schema.field("null_count").type.names:
        return pc.scalar(True)
    nulls, rows = pc.field("null_count", name), pc.field("num_records")
    return nulls.is_null() | rows.is_null() | (nulls < rows)


def _bounded(files: pa.Table) -> list[str]:
    return list(files.schema.field("min").type.names) if "min" in files.schema.names else []
