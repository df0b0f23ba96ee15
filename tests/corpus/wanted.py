"""What a row of a case must hold, in the types of its table."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from corpus.cases import Row
from pyspark.sql.types import DataType, DecimalType

from silver.kinds import ROW_KINDS
from silver.rows import LostIds
from silver.tables import TABLES as SILVER

TABLES = {table.name.removeprefix("silver."): table for table in SILVER}
# The table of each kind of parsed row.
TABLE_OF = {kind.name: kind.table.name.removeprefix("silver.") for kind in ROW_KINDS} | {LostIds.kind: "gaps"}
Content = frozenset[str] | Mapping[str, Any]  # the reasons, or the fields


def wanted(row: Row) -> Content:
    """Its reasons, or its fields as the parser gives them: times are whole us."""
    if row.fields is None:
        return row.reasons
    return {name: typed(row.table, name, value) for name, value in row.fields.items()}


@lru_cache(maxsize=1024)
def type_of(table: str, column: str) -> DataType:
    """The type of a column of silver."""
    return TABLES[table.removeprefix("silver.")].schema[column].dataType


def typed(table: str, column: str, value: Any) -> Any:
    """A value in that type."""
    if value is None:
        return None
    kind = type_of(table, column)
    if isinstance(kind, DecimalType):
        return Decimal(value)
    return str(value) if kind.typeName() == "string" else int(value)
