"""Arrow tables to Spark, and the contracts of tables for those who write without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import TimestampType

from lakehouse.table import Table


def frame_of(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Make a frame of all rows.

    Spark 4.1's own `createDataFrame` loses every row that comes after an empty batch, such as a filter leaves.
    """
    return spark.createDataFrame(rows.combine_chunks())


def contract_schema(table: Table) -> pa.Schema:
    """The columns of a contract as Arrow types them, with their comments; times are UTC."""
    utc = pa.timestamp("us", tz="UTC")

    def typed(kind: Any) -> Any:
        return utc if isinstance(kind, TimestampType) else to_arrow_type(kind)

    fields = [
        pa.field(field.name, typed(field.dataType), field.nullable, {"comment": field.metadata["comment"]})
        for field in table.schema.fields
    ]
    return pa.schema(fields)


def in_micros(rows: pa.Table, time: str, named: str) -> pa.Table:
    """Put a time's microseconds since 1970 (UTC) in its place.

    Args:
        rows: with the column `time`.
        time: its name.
        named: the name of the whole numbers.
    """
    return rows.set_column(rows.schema.get_field_index(time), named, rows[time].cast(pa.int64()))


def padded(columns: Mapping[str, Any], count: int, schema: pa.Schema) -> list[Any]:
    """Put columns into the order and types of a schema; those that are not there are null.

    Args:
        columns: by name; others than the schema has are left out.
        count: how many rows they have.
        schema: what is wanted.
    """
    return [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in schema
    ]
