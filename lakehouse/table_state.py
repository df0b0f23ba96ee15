"""What a table's log says of it: its id, its newest version, and the marks that steps have left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable as RustDeltaTable
from pyarrow.dataset import Dataset, dataset
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from lakehouse.conditions import AnyOf, files_to_read, fulfils, matches
from lakehouse.local_tables import LocalTables
from lakehouse.maintenance.log_folder import LogFolder
from lakehouse.marks import Marks, newest_marks
from lakehouse.selecting import select

COMMIT_VERSION = "_commit_version"
_CHANGE_TYPE = "_change_type"
# Of an append-only table each row once; of a merged one inserted rows and new states.
NEW_STATES: AnyOf = [[(_CHANGE_TYPE, "in", ("insert", "update_postimage"))]]
# Commits that are no writes of ours, such as an ADD COLUMNS, may lie above the newest marks.
_COMMITS_READ = 20
_VERSIONS_LOOKED_AT = 1000
_ANY_TIME = datetime.min.replace(tzinfo=UTC)


def local_marks(table: RustDeltaTable) -> Marks:
    """The marks in the newest commit that has any.

    Args:
        table: loaded by delta-rs; its history begins at the newest commit, whatever version is loaded.
    """
    for limit in (1, _COMMITS_READ, None):
        marks = newest_marks(commit.get("userMetadata") for commit in table.history(limit))
        if marks is not None:
            return marks
    return {}


def changes_of(spark: SparkSession, identifier: str, after_version: int, to_version: int) -> DataFrame:
    """The rows written in versions (after_version, to_version] with `_commit_version`."""
    changes = (
        spark.read.option("readChangeFeed", "true")
        .option("startingVersion", after_version + 1)
        .option("endingVersion", to_version)
        .table(identifier)
    )
    return changes.where(fulfils(NEW_STATES)).drop(_CHANGE_TYPE, "_commit_timestamp")


def _schema_of_changes(table: RustDeltaTable) -> pa.Schema:
    return pa.schema([*pa.schema(table.schema().to_arrow()), (_CHANGE_TYPE, pa.string()), (COMMIT_VERSION, pa.int64())])


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

    def unchanged(self, after_version: int, to_version: int) -> bool:
        """Whether versions (after_version, to_version] are known to hold the very rows of the one before them."""
        ...

    def rows_where(self, any_of: AnyOf) -> pa.Table:
        """The rows that fulfil one of the conditions; all rows when there is none."""
        ...

    def few_rows_where(self, any_of: AnyOf, most: int) -> pa.Table | None:
        """The rows that fulfil one of the conditions; None when there may be more than `most`, or nothing tells."""
        ...

    def select(self, query: str, any_of: AnyOf, **beside: pa.Table) -> pa.Table:
        """What a SELECT from `{rows}` finds where one of the conditions is fulfilled; in all rows without one."""
        ...

    def select_changes(self, query: str, after_version: int, to_version: int) -> pa.Table:
        """What a SELECT from `{rows}` finds in the rows written in versions (after_version, to_version]."""
        ...

    def few_changes(self, after_version: int, to_version: int, most_rows: int, most_bytes: int) -> pa.Table | None:
        """The rows written in versions (after_version, to_version]; None when they are more, or nothing tells."""
        ...

    def rows_written(self, after_version: int, to_version: int) -> dict[int, int]:
        """How many rows each of the versions (after_version, to_version] has written."""
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

    def unchanged(self, after_version: int, to_version: int) -> bool:
        """Whether no commit among them has changed a row, as their files in the log say; not asked of very many."""
        few = 0 <= to_version - after_version <= _VERSIONS_LOOKED_AT
        return few and not LogFolder(self._folder).changes_rows(after_version, to_version)

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

    def select(self, query: str, any_of: AnyOf, **beside: pa.Table) -> pa.Table:
        """What DuckDB finds."""
        table = self._table()
        return select(query, self._dataset(table, files_to_read(_files(table), any_of)), any_of, **beside)

    def select_changes(self, query: str, after_version: int, to_version: int) -> pa.Table:
        """What DuckDB finds in the change feed, piece by piece."""
        return select(query, self._changes(after_version, to_version), NEW_STATES)

    def few_changes(self, after_version: int, to_version: int, most_rows: int, most_bytes: int) -> pa.Table | None:
        """The rows of the change feed; it is read no further than it may reach."""
        changes = self._changes(after_version, to_version)
        held, rows, size = [], 0, 0
        for batch in changes:
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows > most_rows or size > most_bytes:
                return None
            held.append(batch)
        schema = _schema_of_changes(self._table())
        # delta-rs yields views of texts, by which Arrow cannot filter.
        found = pa.Table.from_batches(held, changes.schema).select(schema.names).cast(schema)
        return found.filter(matches(NEW_STATES)).drop_columns([_CHANGE_TYPE])

    def rows_written(self, after_version: int, to_version: int) -> dict[int, int]:
        """How many rows the commits say that they have appended."""
        commits = self._table().history(self.version() - after_version)
        figures = {commit["version"]: commit.get("operationMetrics", {}) for commit in commits}
        return {
            version: int(figure.get("numOutputRows", figure.get("num_added_rows", 0)))
            for version, figure in figures.items()
            if after_version < version <= to_version
        }

    def _changes(self, after_version: int, to_version: int) -> pa.RecordBatchReader:
        table = self._table()
        if after_version < to_version:
            changes = table.load_cdf(starting_version=after_version + 1, ending_version=to_version)
            return pa.RecordBatchReader.from_stream(changes)
        return _schema_of_changes(table).empty_table().to_reader()

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

    def unchanged(self, after_version: int, to_version: int) -> bool:
        """Known only when there is none."""
        return to_version == after_version

    def few_rows_where(self, any_of: AnyOf, most: int) -> pa.Table | None:
        """None: nothing tells without a job how many there are."""

    def select(self, query: str, any_of: AnyOf, **beside: pa.Table) -> pa.Table:
        """What Spark finds."""
        return select(query, self._spark().read.table(self._identifier), any_of, **beside)

    def select_changes(self, query: str, after_version: int, to_version: int) -> pa.Table:
        """What Spark finds in the change feed."""
        return select(query, changes_of(self._spark(), self._identifier, after_version, to_version))

    def few_changes(self, after_version: int, to_version: int, most_rows: int, most_bytes: int) -> pa.Table | None:
        """None: nothing tells without a job how many there are."""

    def rows_written(self, after_version: int, to_version: int) -> dict[int, int]:
        """How many rows the commits say that they have appended: by Spark's name of the figure, else by delta-rs's."""
        figures = f.col("operationMetrics")
        rows = f.coalesce(figures["numOutputRows"], figures["num_added_rows"]).cast("bigint")
        history = self._spark().sql(f"DESCRIBE HISTORY {self._identifier}")
        wanted = history.where((f.col("version") > after_version) & (f.col("version") <= to_version))
        return {row["version"]: row["rows"] or 0 for row in wanted.select("version", rows.alias("rows")).collect()}

    def rows_where(self, any_of: AnyOf) -> pa.Table:
        """The rows that fulfil one of the conditions."""
        rows = self._spark().read.table(self._identifier)
        return (rows.where(fulfils(any_of)) if any_of else rows).toArrow()
