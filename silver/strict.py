"""The slow path: frames that are not canonical go through the strict parser, in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from silver.parse import parse_frame
from silver.rows import Frame
from silver.tables import CANDLES, GAPS, TRADES

KIND = "kind"
FRAME_ID = ("topic_id", "topic", "partition", "offset")
_PASSED = (*FRAME_ID, "venue", "session_id", "sequence", "received_at", "origin")
_PARSER_TAKES = ("venue", "channel", "key", "session_id", "sequence", "received_at", "origin", "payload")
_ROWS_A_BATCH = 5_000


def _schema() -> StructType:
    """Everything a parsed row can have: where it comes from, its kind, and the columns of its table or its reasons."""
    fields = {field.name: field for table in (TRADES, CANDLES, GAPS) for field in table.schema.fields}
    passed = [fields.pop(name) for name in _PASSED]
    row = fields.pop("row")
    kind = StructField(KIND, StringType(), False)
    reasons = StructField("reasons", ArrayType(StringType()))
    wanted = [
        field
        for name, field in fields.items()
        if name not in ("from_id", "to_id", "detected_at", "status", "closed_at")
    ]
    return StructType([*passed, StructField(row.name, IntegerType()), kind, reasons, *wanted])


SCHEMA = _schema()


def parse_strictly(frames: DataFrame) -> DataFrame:
    """Run the strict parser on frames.

    Args:
        frames: at least the columns of a frame that name it and that the parser takes.

    Returns:
        SCHEMA: one row for each parsed row, with `kind` trade, candle, gap or rejected; fields of other kinds are null.
    """
    taken = frames.select(*FRAME_ID, *_PARSER_TAKES)
    return taken.mapInArrow(_parse_batches, SCHEMA)


def rows_of_kind(parsed: DataFrame, kind: str) -> DataFrame:
    """Take the rows of one kind."""
    return parsed.where(f.col(KIND) == kind)


def _parse_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    schema = to_arrow_schema(SCHEMA)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        received = batch.schema.get_field_index("received_at")
        as_us = pc.cast(batch.column(received), pa.int64())
        for record in batch.set_column(received, "received_at", as_us).to_pylist():
            rows.extend(_rows(record))
            if len(rows) >= _ROWS_A_BATCH:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
    yield pa.RecordBatch.from_pylist(rows, schema)


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    frame = Frame(*(record[name] for name in _PARSER_TAKES))
    passed = {name: record[name] for name in _PASSED}
    for row in parse_frame(frame):
        yield {**passed, KIND: row.kind, **vars(row)}
