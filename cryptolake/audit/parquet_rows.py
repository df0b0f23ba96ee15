"""The rows of one file, in pieces: all of them, or those that fulfil a condition, without groups that cannot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.conditions import AnyOf, matches

Columns = Mapping[str, pa.DataType]
_UTC = pa.timestamp("us", tz="UTC")


def rows_of_file(path: str, columns: Columns, batch_bytes: int, where: AnyOf | None = None) -> Iterator[Any]:
    """Read rows.

    Args:
        path: of a Parquet file.
        columns: what to read, and the Arrow types to give it; a column that the file lacks is null.
        batch_bytes: about how large a piece is.
        where: conditions of which rows must fulfil one; None reads all.

    Yields:
        RecordBatches of the columns; with conditions none that is empty.

    Raises:
        OSError, pyarrow.ArrowException: the file is damaged or gone.
    """
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as source:
        asked = {name for all_of in where or () for name, _, _ in all_of}
        held = [name for name in source.schema_arrow.names if name in columns or name in asked]
        size = _batch_rows(source.metadata, held, batch_bytes)
        groups = range(source.metadata.num_row_groups)
        wanted = [number for number in groups if _may_hold(source.metadata.row_group(number), asked, where)]
        for batch in source.iter_batches(batch_size=size, row_groups=wanted, columns=held, use_threads=False):
            chosen = batch if where is None else _fulfilling(batch, asked, where)
            if chosen.num_rows or where is None:
                yield _conformed(chosen, columns)


def _batch_rows(metadata: Any, columns: list[str], batch_bytes: int) -> int:
    wanted, size, rows = set(columns), 0, max(1, metadata.num_rows)
    for group in range(metadata.num_row_groups):
        chunks = (metadata.row_group(group).column(i) for i in range(metadata.num_columns))
        size += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted)
    return int(max(256, min(65_536, batch_bytes * rows // max(1, size))))


def _may_hold(group: Any, asked: Collection[str], where: AnyOf | None) -> bool:
    """Whether the bounds of a group of rows leave open that one of them fulfils one of the conditions on times."""
    if where is None:
        return True
    columns = (group.column(number) for number in range(group.num_columns))
    found = {column.path_in_schema: column.statistics for column in columns if column.path_in_schema in asked}
    bounds = {name: (one.min, one.max) for name, one in found.items() if one is not None and one.has_min_max}
    return any(all(_may_be(bounds.get(name), sign, value) for name, sign, value in all_of) for all_of in where)


def _may_be(bounds: tuple[Any, Any] | None, sign: str, value: Any) -> bool:
    if bounds is None or not isinstance(value, dt.datetime) or not isinstance(bounds[0], dt.datetime):
        return True
    low, high = (bound.replace(tzinfo=bound.tzinfo or dt.UTC) for bound in bounds)
    tests = {">=": high >= value, "<": low < value, "<=": low <= value, "=": low <= value <= high}
    return bool(tests.get(sign, True))


def _fulfilling(batch: Any, asked: Collection[str], where: AnyOf) -> Any:
    rows = pa.Table.from_batches([batch])
    for name in asked:
        if name not in rows.schema.names:  # a file from before the column was added
            rows = rows.append_column(name, pa.nulls(len(rows), _UTC))
        elif pa.types.is_timestamp(rows.schema.field(name).type):
            rows = rows.set_column(rows.schema.get_field_index(name), name, pc.cast(rows[name], _UTC))
    return pa.concat_batches(rows.filter(matches(where)).to_batches() or [batch.slice(0, 0)])


def _conformed(batch: Any, columns: Columns) -> Any:
    arrays = []
    for name, wanted in columns.items():
        if name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, wanted))
            continue
        column = batch.column(name)
        arrays.append(column if column.type == wanted else pc.cast(column, wanted))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(columns.items()))
