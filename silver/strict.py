"""The slow path: frames that are not canonical go through the strict parser, in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from lakehouse.arrow import padded
from silver.copies import ARRIVAL
from silver.kinds import FROM_FRAME, ROW_KINDS, RowKind
from silver.parse import canonical_rows, parse_frame
from silver.rows import Frame, LostIds, Rejected
from silver.symbols import Symbols
from silver.tables import TRADES

KIND = "kind"
FRAME_ID = ("topic_id", "topic", "partition", "offset")
PARSER_TAKES = ("venue", "channel", "key", "session_id", "sequence", "received_at", "origin", "payload")
_FIELD_OF = {"received_at": "received_us"}
_ROWS_A_BATCH = 5_000


def _schema() -> StructType:
    """What a parsed row can be: where it comes from, its kind, and its fields under the name of that kind."""
    passed = [TRADES.schema[name] for name in FROM_FRAME]
    fixed = [
        StructField("row", IntegerType()),
        StructField(KIND, StringType(), False),
        StructField("reasons", ArrayType(StringType())),
    ]
    kinds = [
        StructField(kind.name, StructType([kind.table.schema[name] for name in kind.parsed])) for kind in ROW_KINDS
    ]
    return StructType([*passed, *fixed, *kinds])


SCHEMA = _schema()


def parse_strictly(frames: DataFrame, symbols: Symbols) -> DataFrame:
    """Run the strict parser on frames.

    Args:
        frames: at least the columns of a frame that name it and that the parser takes.
        symbols: what names stand for.

    Returns:
        SCHEMA: one row for each parsed row, with `kind` (a name of silver.kinds, or rejected); the struct of that name
        holds its fields, all others are null.
    """
    taken = frames.select(*FRAME_ID, *PARSER_TAKES)
    return taken.mapInArrow(partial(parse_batches, symbols), SCHEMA)


def rows_of_kind(parsed: DataFrame, kind: RowKind) -> DataFrame:
    """Take the rows of one kind, with the columns of its table and those that say in which order they came.

    Args:
        parsed: rows as `parse_strictly` gives them.
        kind: which.
    """
    rows = parsed.where(f.col(KIND) == kind.name).select(*FROM_FRAME, "row", f"{kind.name}.*")
    types = {name: kind.table.schema[name].dataType for name in kind.constants}
    constants = {name: f.lit(value).cast(types[name]) for name, value in kind.constants.items()}
    filled = rows.withColumns(constants | {name: f.col(source) for name, source in kind.copied.items()})
    return filled.select(*dict.fromkeys((*kind.table.columns, *ARRIVAL)))


def rejected_rows(parsed: DataFrame) -> DataFrame:
    """Take the rows that broke rules: which, and why."""
    return parsed.where(f.col(KIND) == Rejected.kind).select(*FRAME_ID, "row", "reasons")


def parse_batches(symbols: Symbols, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the strict parser on batches of frames; what is canonical is read at once, to the same rows.

    Args:
        symbols: what names stand for.
        batches: the columns of a frame that name it and that the parser takes.

    Yields:
        batches of SCHEMA.
    """
    schema = to_arrow_schema(SCHEMA)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        for place, record in enumerate(_records(batch)):
            found = canonical_rows(frame_of(record, symbols))
            if found is not None:
                yield _in_columns(batch.slice(place, 1), *found, schema)
                continue
            rows.extend(parsed_rows(record, symbols))
            if len(rows) >= _ROWS_A_BATCH:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
    yield pa.RecordBatch.from_pylist(rows, schema)


def lost_ids_in(markers: pa.Table, symbols: Symbols) -> list[tuple[str, LostIds]]:
    """What venues no longer have, with the venue; such markers are rare, and parsed here once more.

    Args:
        markers: the columns of frames that the parser takes.
        symbols: what names stand for.
    """
    rows = [(record["venue"], row) for record in _records(markers) for row in parse_frame(frame_of(record, symbols))]
    return [(venue, row) for venue, row in rows if isinstance(row, LostIds)]


def _records(frames: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    received = frames.schema.get_field_index("received_at")
    as_us = pc.cast(frames.column(received), pa.int64())
    return frames.set_column(received, "received_at", as_us).to_pylist()  # type: ignore[no-any-return]


def _in_columns(frame: pa.RecordBatch, kind: str, fields: Mapping[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """Say of rows of one kind, given as columns, which frame they come from."""
    of_kind = list(schema.field(kind).type)
    values = pa.StructArray.from_arrays([fields[field.name].cast(field.type) for field in of_kind], fields=of_kind)
    count = len(values)
    columns = {name: pa.repeat(frame.column(name)[0], count) for name in FROM_FRAME}
    columns |= {"row": pa.array(range(count)), KIND: pa.repeat(kind, count), kind: values}
    return pa.RecordBatch.from_arrays(padded(columns, count, schema), schema=schema)


def frame_of(record: Mapping[str, Any], symbols: Symbols) -> Frame:
    """Make what the strict parser takes of the columns PARSER_TAKES; `received_at` in us UTC."""
    return Frame(**{_FIELD_OF.get(name, name): record[name] for name in PARSER_TAKES}, symbols=symbols)


def parsed_rows(record: Mapping[str, Any], symbols: Symbols) -> Iterator[dict[str, Any]]:
    """Run the strict parser on one frame.

    Args:
        record: the columns of a frame that name it and that the parser takes; `received_at` in us UTC.
        symbols: what names stand for.

    Yields:
        rows of SCHEMA, times in us UTC; what is null may be absent.
    """
    passed = {name: record[name] for name in FROM_FRAME}
    for row in parse_frame(frame_of(record, symbols)):
        if isinstance(row, Rejected):
            yield {**passed, "row": row.row, KIND: row.kind, "reasons": row.reasons}
        else:
            yield {**passed, "row": row.row, KIND: row.kind, row.kind: vars(row)}
