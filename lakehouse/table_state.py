"""What a table's log says of it: its id, its newest version, and the marks that steps have left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable as RustDeltaTable
from pyarrow.dataset import Dataset, dataset
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from lakehouse.conditions import AnyOf, files_to_read, fulfils, matches, where_clause
from lakehouse.local_tables import LocalTables
from lakehouse.marks import Marks, newest_marks

# Commits that are no writes of ours, such as an ADD COLUMNS, may lie above the newest marks.
_COMMITS_READ = 20
_ANY_TIME = datetime.min.replace(tzinfo=UTC)


def local_marks(table: RustDeltaTable) -> Marks:
    """The marks in the newest commit that has any, of the version of the table that is loaded.

    Args:
        table: loaded by delta-rs.
    """
    for limit in (1, _COMMITS_READ, None):
        marks = newest_marks(commit.get("userMetadata") for commit in table.history(limit))
        if marks is not None:
            return marks
    return {}


def _files(table: RustDeltaTable) -> pa.Table:
    return pa.table(table.get_add_actions())


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

    def is_empty(self) -> bool:
        """Whether the newest version holds no row at all."""
        ...

    def earliest(self, column: str) -> datetime | None:
        """A time that no row's time in `column` lies before; None when there is no row."""
        ...

    def marks(self) -> Marks:
        """The marks that steps have left, by app id."""
        ...

    def rows_where(self, any_of: AnyOf) -> pa.Table:
        """The rows that fulfil one of the conditions; all rows when there is none."""
        ...

    def few_rows_where(self, any_of: AnyOf, most: int) -> pa.Table | None:
        """The rows that fulfil one of the conditions; None when there may be more than `most`, or nothing tells."""
        ...

    def select(self, query: str, any_of: AnyOf) -> pa.Table:
        """What a SELECT from `{rows}` finds where one of the conditions is fulfilled; in all rows without one."""
        ...


class LocalTableState:
    """The state of a table in a folder, read by delta-rs in milliseconds, without a Spark job.

    Args:
        folder: where the table is.
        tables: has it loaded.
    """

    def __init__(self, folder: Path, tables: LocalTables) -> None:
        self._folder = folder
        self._tables = tables

    def table_id(self) -> str:
        """The id in the table's metadata."""
        return str(self._table().metadata().id)

    def columns(self) -> list[str]:
        """The names in the table's metadata."""
        return [field.name for field in self._table().schema().fields]

    def version(self) -> int:
        """The newest version."""
        return self._table().version()

    def is_empty(self) -> bool:
        """Whether no file of the newest version holds a row; a file that says nothing of it counts as one that does."""
        return all(rows == 0 for rows in _files(self._table())["num_records"].to_pylist())

    def earliest(self, column: str) -> datetime | None:
        """The least of the lower bounds that the files give for a time; None when no file holds a row."""
        files = _files(self._table()).filter(pc.field("num_records").is_null() | (pc.field("num_records") != 0))
        if not files.num_rows:
            return None
        bounds = files["min"].combine_chunks().field(column)
        return _ANY_TIME if bounds.null_count else pc.min(bounds).as_py()

    def marks(self) -> Marks:
        """The marks in the newest commit that has any: as a rule the newest one."""
        return local_marks(self._table())

    def rows_where(self, any_of: AnyOf) -> pa.Table:
        """The rows that fulfil one of the conditions; files whose bounds say that none of theirs can are not opened."""
        table = self._table()
        return self._read(table, files_to_read(_files(table), any_of), any_of)

    def few_rows_where(self, any_of: AnyOf, most: int) -> pa.Table | None:
        """The same; None when the files to open hold more rows than `most`, or do not say how many."""
        table = self._table()
        files = files_to_read(_files(table), any_of)
        rows = files["num_records"]
        return None if rows.null_count or (pc.sum(rows).as_py() or 0) > most else self._read(table, files, any_of)

    def select(self, query: str, any_of: AnyOf) -> pa.Table:
        """What DuckDB finds: it takes the columns that the query names, piece by piece."""
        table = self._table()
        where, values = where_clause(any_of)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("files", self._dataset(table, files_to_read(_files(table), any_of)))
            files = f"(SELECT * FROM files {where})"  # noqa: S608 - names are of contracts, values are bound
            return connection.sql(query.format(rows=files), params=values).to_arrow_table()

    def _read(self, table: RustDeltaTable, files: pa.Table, any_of: AnyOf) -> pa.Table:
        return self._dataset(table, files).to_table(filter=matches(any_of) if any_of else None)

    def _dataset(self, table: RustDeltaTable, files: pa.Table) -> Dataset:
        schema = pa.schema(table.schema().to_arrow())
        paths = [str(self._folder / unquote(path)) for path in files["path"].to_pylist()]
        return dataset(paths, schema=schema, format="parquet") if paths else dataset(schema.empty_table())

    def _table(self) -> RustDeltaTable:
        return self._tables.newest(self._folder)


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

    def is_empty(self) -> bool:
        """Whether there is no first row."""
        return self._spark().read.table(self._identifier).isEmpty()

    def earliest(self, column: str) -> datetime | None:
        """The least time."""
        least = self._spark().read.table(self._identifier).agg(f.min(column).alias("least")).toArrow()
        return least["least"][0].as_py()  # type: ignore[no-any-return]

    def marks(self) -> Marks:
        """The marks in the newest commit that has any."""
        history = self._spark().sql(f"DESCRIBE HISTORY {self._identifier}")
        noted = history.where("userMetadata IS NOT NULL").orderBy(f.desc("version")).limit(_COMMITS_READ)
        return newest_marks(row["userMetadata"] for row in noted.select("userMetadata").collect()) or {}

    def few_rows_where(self, any_of: AnyOf, most: int) -> pa.Table | None:
        """None: nothing tells without a job how many there are."""

    def select(self, query: str, any_of: AnyOf) -> pa.Table:
        """What Spark finds."""
        rows = self._spark().read.table(self._identifier)
        return self._spark().sql(query, rows=rows.where(fulfils(any_of)) if any_of else rows).toArrow()

    def rows_where(self, any_of: AnyOf) -> pa.Table:
        """The rows that fulfil one of the conditions."""
        rows = self._spark().read.table(self._identifier)
        return (rows.where(fulfils(any_of)) if any_of else rows).toArrow()
