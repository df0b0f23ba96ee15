"""What a table's log says of it: its id, its newest version, and the marks that steps have left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from deltalake import DeltaTable as RustDeltaTable
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as f

Spans = Sequence[tuple[datetime, datetime]]  # starts and ends, ends excluded


def within(column: str, spans: Spans) -> Column:
    """Say whether a time lies in one of the spans, of which there is at least one."""
    return reduce(Column.__or__, ((f.col(column) >= f.lit(a)) & (f.col(column) < f.lit(b)) for a, b in spans))


class TableState(Protocol):
    """Reads the state of one table."""

    def table_id(self) -> str:
        """The table's own id, which a table made anew under the same name does not share."""
        ...

    def columns(self) -> list[str]:
        """The names of the columns it has now."""
        ...

    def version(self) -> int:
        """The newest version."""
        ...

    def mark(self, app_id: str) -> int | None:
        """The highest version that a write with this app id has left; None when there is none."""
        ...

    def rows_between(self, column: str, spans: Spans) -> pa.Table:
        """The rows whose time in `column` lies in one of the spans."""
        ...


class LocalTableState:
    """The state of a table in a folder, read by delta-rs in milliseconds, without a Spark job.

    Args:
        folder: where the table is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def table_id(self) -> str:
        """The id in the table's metadata."""
        return str(self._table().metadata().id)

    def columns(self) -> list[str]:
        """The names in the table's metadata."""
        return [field.name for field in self._table().schema().fields]

    def version(self) -> int:
        """The newest version."""
        return self._table().version()

    def mark(self, app_id: str) -> int | None:
        """The transaction version of the app id."""
        return self._table().transaction_version(app_id)

    def rows_between(self, column: str, spans: Spans) -> pa.Table:
        """The rows whose time in `column` lies in one of the spans; files outside them are not opened."""
        filters = [[(column, ">=", start), (column, "<", end)] for start, end in spans]
        return self._table().to_pyarrow_table(filters=filters)

    def _table(self) -> RustDeltaTable:
        return RustDeltaTable(str(self._folder))


class CatalogTableState:
    """The state of a table of a catalog, read by SQL: transaction versions have no SQL, so marks are user metadata.

    Args:
        spark: asked for the session at each use.
        identifier: the three-part name.
    """

    def __init__(self, spark: Callable[[], SparkSession], identifier: str) -> None:
        self._spark = spark
        self._identifier = identifier

    def table_id(self) -> str:
        """The id in the table's metadata."""
        return str(self._spark().sql(f"DESCRIBE DETAIL {self._identifier}").first()["id"])  # type: ignore[index]

    def columns(self) -> list[str]:
        """The names in the catalog."""
        return self._spark().read.table(self._identifier).columns

    def version(self) -> int:
        """The newest version."""
        newest = self._spark().sql(f"DESCRIBE HISTORY {self._identifier} LIMIT 1").first()
        return int(newest["version"])  # type: ignore[index]

    def mark(self, app_id: str) -> int | None:
        """The highest version noted for the app id in the history that the table keeps."""
        noted = (
            self._spark()
            .sql(f"DESCRIBE HISTORY {self._identifier}")
            .where(f.col("userMetadata").startswith(f"{app_id}@"))
            .agg(f.max(f.substring_index("userMetadata", "@", -1).cast("bigint")).alias("mark"))
            .first()
        )
        mark = noted["mark"] if noted else None
        return None if mark is None else int(mark)

    def rows_between(self, column: str, spans: Spans) -> pa.Table:
        """The rows whose time in `column` lies in one of the spans."""
        return self._spark().read.table(self._identifier).where(within(column, spans)).toArrow()
