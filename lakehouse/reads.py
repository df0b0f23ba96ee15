"""Reads the tables of a lake, by Spark or past it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from lakehouse.arrow import contract_schema, frame_of
from lakehouse.conditions import AnyOf, Spans, fulfils, in_spans
from lakehouse.home import lake_folder
from lakehouse.local_tables import LocalTables, appendable, exists
from lakehouse.settings import Settings
from lakehouse.table import Table
from lakehouse.table_state import CatalogTableState, LocalTableState, TableState, changes_of


class Reads:
    """What can be asked of the tables of one lake, seen through one Spark session.

    Args:
        spark: the session.
        settings: home and catalog.
    """

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark = spark
        self.settings = settings
        self._catalog = settings.lake.catalog
        self._local = LocalTables(settings.maintenance.reload_commits)

    @property
    def in_folders(self) -> bool:
        """Whether the tables are in folders of this machine, which DuckDB and delta-rs read, not in a catalog."""
        return not self._catalog

    def path(self, table: Table) -> Path:
        """The folder of a local table."""
        return lake_folder(self.settings) / table.name.replace(".", "/")

    def exists(self, table: Table) -> bool:
        """Say whether the table has been created."""
        if self._catalog:
            return self.spark.catalog.tableExists(self.identifier(table))
        return exists(self.path(table))

    def identifier(self, table: Table) -> str:
        """The table's name in SQL."""
        if not self._catalog:
            return f"delta.`{self.path(table)}`"
        schema, name = table.name.split(".")
        return f"{self._catalog}.{getattr(self.settings.lake.schemas, schema)}.{name}"

    def read(self, table: Table) -> DataFrame:
        """Read the newest version."""
        return self.spark.read.table(self.identifier(table))

    def read_where(self, table: Table, any_of: AnyOf) -> DataFrame:
        """Read the rows that fulfil one of the conditions, of which there is at least one.

        Up to `lake.arrow_rows` of a folder are read past Spark, which plans for a second what it then reads in no time.
        """
        few = self.few_where(table, any_of)
        return self.read(table).where(fulfils(any_of)) if few is None else frame_of(self.spark, few)

    def few_where(self, table: Table, any_of: AnyOf) -> pa.Table | None:
        """Read them into memory, past Spark; None when they are more than `lake.arrow_rows`, or in a catalog."""
        return self._state(table).few_rows_where(any_of, self.settings.lake.arrow_rows)

    def select(self, table: Table, query: str, any_of: AnyOf = (), **beside: pa.Table) -> pa.Table:
        """Run a SELECT over many rows that yields few: from a folder without a Spark job, which is slow to start.

        Args:
            table: the contract.
            query: in SQL that DuckDB and Spark share, from `{rows}`.
            any_of: conditions for the rows it sees; none for every row.
            beside: small tables that it joins, each as `{its name}`.
        """
        return self._state(table).select(query, any_of, **beside)

    def read_changes(self, table: Table, after_version: int, to_version: int) -> DataFrame:
        """Read the rows written in versions (after_version, to_version] with `_commit_version`.

        An append-only table yields each row once; of a merged table, inserted rows and new states.
        """
        return changes_of(self.spark, self.identifier(table), after_version, to_version)

    def few_changes(self, table: Table, after_version: int, to_version: int) -> pa.Table | None:
        """Read them into memory, from a folder without a Spark job; None when they may be more than are few."""
        limits = self.settings.lake
        return self._state(table).few_changes(after_version, to_version, limits.few_frames, limits.few_bytes)

    def select_changes(self, table: Table, query: str, after_version: int, to_version: int) -> pa.Table:
        """Run a SELECT over them that yields few rows, as `select` does over all rows."""
        return self._state(table).select_changes(query, after_version, to_version)

    def rows_written(self, table: Table, after_version: int, to_version: int) -> dict[int, int]:
        """How many rows each of the versions (after_version, to_version] of an append-only table has written."""
        return self._state(table).rows_written(after_version, to_version)

    def rows_between(self, table: Table, column: str, spans: Spans) -> pa.Table:
        """Read the few rows whose time lies in one of the spans: from a folder in milliseconds, without a Spark job.

        Args:
            table: the contract.
            column: a timestamp column of it.
            spans: starts and ends with their zone, ends excluded; at least one.
        """
        return self._state(table).rows_where(in_spans(column, spans))

    def rows_where(self, table: Table, any_of: AnyOf) -> pa.Table:
        """Read the few rows that fulfil one of the conditions, or all of a small table, as `rows_between` does.

        Args:
            table: the contract.
            any_of: conditions, each of comparisons that must all hold; none for every row.
        """
        return self._state(table).rows_where(any_of)

    def is_empty(self, table: Table) -> bool:
        """Say whether the table holds no row, without a Spark job: to read nothing takes seconds on a cold start."""
        return self._state(table).is_empty()

    def earliest(self, table: Table, column: str) -> datetime | None:
        """A time, with its zone, that no row's time in `column` lies before; None when the table holds no row."""
        return self._state(table).earliest(column)

    def no_rows(self, table: Table) -> DataFrame:
        """Make a frame without rows, with the columns of the table."""
        return frame_of(self.spark, contract_schema(table).empty_table())

    def version(self, table: Table) -> int:
        """The newest version of the table."""
        return self._state(table).version()

    def unchanged(self, table: Table, after_version: int, to_version: int) -> bool:
        """Whether versions (after_version, to_version] hold the same rows: a compaction or a mark; False if unknown."""
        return self._state(table).unchanged(after_version, to_version)

    def past_spark(self, table: Table) -> DeltaTable | None:
        """The newest version as delta-rs has it; None where it cannot write to the table."""
        if self._catalog:
            return None
        newest = self._local.newest(self.path(table))
        return newest if appendable(newest) else None

    def table_id(self, table: Table) -> str:
        """The table's own id, which a table made anew under the same name does not share."""
        return self._state(table).table_id()

    def _state(self, table: Table) -> TableState:
        if self._catalog:
            return CatalogTableState(lambda: self.spark, self.identifier(table))
        return LocalTableState(self.path(table), self._local)
