"""The contract of a view, spelt once and rendered for each engine that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lakehouse.table import Table


class Shape(Enum):
    """What a BI tool gets of a column: (Spark SQL, DataFusion SQL), with the source column for {}."""

    AS_IS = ("{}", "{}")
    # Session and tables are UTC; a naive timestamp keeps drivers from shifting it by convention.
    NAIVE_UTC = ("CAST({} AS TIMESTAMP_NTZ)", "arrow_cast({}, 'Timestamp(Microsecond, None)')")
    DATE_UTC = ("CAST({} AS DATE)", "CAST({} AS DATE)")
    # 18 digits are what every BI engine can hold; beyond them a value shows as null, never wrong.
    PRICE = ("TRY_CAST({} AS DECIMAL(18,8))", "TRY_CAST({} AS DECIMAL(18,8))")
    DOUBLE = ("CAST({} AS DOUBLE)", "CAST({} AS DOUBLE)")
    TEXT = ("CAST({} AS STRING)", "TRY_CAST({} AS VARCHAR)")


@dataclass(frozen=True)
class ViewColumn:
    """One column of a view: its name, the source's column, and what it is turned into."""

    name: str
    source: str
    shape: Shape = Shape.AS_IS


@dataclass(frozen=True)
class View:
    """A view over one table.

    Args:
        name: schema and view, e.g. "gold_bi.one_minute_bars".
        comment: one sentence for readers.
        source: the table below.
        columns: what it shows, in order.
        where: a predicate that both engines understand.
    """

    name: str
    comment: str
    source: Table
    columns: tuple[ViewColumn, ...]
    where: str | None = None

    def spark_sql(self, source_identifier: str) -> str:
        """The query in Spark's SQL, over the source as Spark names it."""
        return self._query(source_identifier, 0)

    def datafusion_sql(self) -> str:
        """The query in DataFusion's SQL, over the source's own name."""
        return self._query(self.source.name, 1)

    def _query(self, source: str, dialect: int) -> str:
        quote = "`" if dialect == 0 else '"'
        columns = ", ".join(
            f"{c.shape.value[dialect].format(f'{quote}{c.source}{quote}')} AS {quote}{c.name}{quote}"
            for c in self.columns
        )
        # Names and predicates come from contracts in this code, never from a user.
        return f"SELECT {columns} FROM {source}" + (f" WHERE {self.where}" if self.where else "")  # noqa: S608


def as_is(*names: str) -> tuple[ViewColumn, ...]:
    """Columns that the view shows under their own names."""
    return tuple(ViewColumn(name, name) for name in names)


def shaped(shape: Shape, *names: str) -> tuple[ViewColumn, ...]:
    """Columns shown under their own names in one shape."""
    return tuple(ViewColumn(name, name, shape) for name in names)


def utc(*names: str) -> tuple[ViewColumn, ...]:
    """Timestamps as naive UTC, named `<name>_utc` (a trailing _at or _time stays)."""
    return tuple(ViewColumn(f"{name}_utc", name, Shape.NAIVE_UTC) for name in names)
