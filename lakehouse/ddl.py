"""Contracts of tables as SQL statements; names and texts are of contracts, never a user's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise

from pyspark.sql.types import (
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    TimestampType,
)

from lakehouse.table import Table

_BOUNDED = (StringType, IntegerType, LongType, DoubleType, TimestampType)


def create_statement(table: Table, identifier: str) -> str:
    """SQL that creates a table as its contract has it, unless it is there.

    Args:
        table: the contract.
        identifier: its name in SQL.
    """
    columns = ", ".join(_column(field) for field in table.schema.fields)
    listed = ", ".join(f"{_quoted(key)} = {_quoted(value)}" for key, value in properties_of(table).items())
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier} ({columns}) USING delta"
        + (f" CLUSTER BY ({', '.join(table.cluster_by)})" if table.cluster_by else "")
        + f" COMMENT {_quoted(table.comment)}"
        + f" TBLPROPERTIES ({listed})"
    )


def properties_of(table: Table) -> dict[str, str]:
    """The properties that a table is created with: those of its contract, and its constraints."""
    properties = {"delta.dataSkippingStatsColumns": ",".join(bounded(table)), **table.properties}
    if table.append_only:
        # A change feed of appends costs nothing: it reads the appended files, and names their version.
        properties |= {"delta.appendOnly": "true", "delta.enableChangeDataFeed": "true"}
    return properties | {f"delta.constraints.{name}": sql for name, sql in table.constraints.items()}


def set_properties_statement(identifier: str, properties: Mapping[str, str]) -> str:
    """SQL that gives a table that is there some properties.

    Args:
        identifier: its name in SQL.
        properties: name to value.
    """
    listed = ", ".join(f"{_quoted(key)} = {_quoted(value)}" for key, value in properties.items())
    return f"ALTER TABLE {identifier} SET TBLPROPERTIES ({listed})"


def add_columns_statement(table: Table, identifier: str, names: Collection[str]) -> str:
    """SQL that adds columns where the contract has them.

    Args:
        table: the contract.
        identifier: its name in SQL.
        names: of the columns.
    """
    after = {name: f" AFTER `{place}`" for place, name in pairwise(table.columns)}
    columns = ", ".join(
        f"{_column(field)}{after.get(field.name, ' FIRST')}" for field in table.schema.fields if field.name in names
    )
    return f"ALTER TABLE {identifier} ADD COLUMNS ({columns})"


def bounded(table: Table) -> list[str]:
    """The columns whose bounds the log holds: not decimals, whose bounds delta-rs rounds, so that rows were skipped."""
    return [field.name for field in table.schema.fields if isinstance(field.dataType, _BOUNDED)]


def _column(field: StructField) -> str:
    return f"`{field.name}` {field.dataType.simpleString()} COMMENT {_quoted(field.metadata['comment'])}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
