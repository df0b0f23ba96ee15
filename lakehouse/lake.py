"""The only place where tables are created and written; what is read of them is in `lakehouse.reads`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType

from lakehouse.arrow import contract_schema, frame_of
from lakehouse.conditions import Condition
from lakehouse.ddl import add_columns_statement, create_statement, set_properties_statement
from lakehouse.local_tables import append, create
from lakehouse.maintenance.properties import kept_properties
from lakehouse.marks import Marks, note_of
from lakehouse.merge import merge_source, merge_statement
from lakehouse.reads import Reads
from lakehouse.settings import Settings
from lakehouse.table import Table
from lakehouse.table_state import COMMIT_VERSION as COMMIT_VERSION
from lakehouse.upserting import upsert

_LAST_COMMIT = "spark.databricks.delta.lastCommitVersionInSession"
_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_STATEMENTS_AT_ONCE = 2


@dataclass(frozen=True)
class Txn:
    """A write that happens once: it is skipped when the table holds this or a higher mark of the app id."""

    app_id: str
    version: int


@dataclass(frozen=True)
class _Known:
    """The marks of a table as of one version of it."""

    version: int
    marks: Marks


class Lake(Reads):
    """The tables of one lake, seen through one Spark session.

    Args:
        spark: the session; inside foreachBatch the batch's own (see `on`).
        settings: home and catalog.
    """

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        super().__init__(spark, settings)
        self._known: dict[str, _Known] = {}
        self._carried: dict[str, dict[str, int]] = {}

    def on(self, spark: SparkSession) -> Lake:
        """Return the same lake on another session: foreachBatch runs on a clone that confs of the outer one miss."""
        other = Lake(spark, self.settings)
        other._local, other._known, other._carried = self._local, self._known, self._carried
        return other

    def create(self, *tables: Table) -> None:
        """Create the tables that are not there yet, and add the columns that an older one lacks (null in its rows)."""
        # Side by side: one statement is most of a second of the driver's planning, on one core.
        with ThreadPoolExecutor(_STATEMENTS_AT_ONCE) as pool:
            list(pool.map(self._create, tables))

    def _create(self, table: Table) -> None:
        if not self._catalog:
            # Not clustered: delta-rs could not append. Rows come in the order of time, which prunes, too.
            create(self.path(table), table, kept_properties(self.settings.maintenance))
            self._set_properties(table)
        elif not self.exists(table):
            self.spark.sql(create_statement(table, self.identifier(table)))
            return
        held = self._state(table).columns()
        if lacking := [name for name in table.columns if name not in held]:
            self.spark.sql(add_columns_statement(table, self.identifier(table), lacking))

    def _set_properties(self, table: Table) -> None:
        """Let a table that was made before, or under other settings, say of its upkeep what holds now."""
        kept = kept_properties(self.settings.maintenance)
        wanted = {name: table.properties.get(name, value) for name, value in kept.items()}
        held = self._local.newest(self.path(table)).metadata().configuration
        if any(held.get(name) != value for name, value in wanted.items()):
            # Not by delta-rs, which makes of it a table that takes a reader of version 3.
            with self.keeping_marks(table):
                self.spark.sql(set_properties_statement(self.identifier(table), wanted))

    def mark(self, target: Table, app_id: str) -> int | None:
        """The highest version that a write with this app id has left on the target; None when there is none."""
        return self._marks(target).get(app_id)

    def app_id(self, target: Table, step: str, source: Table) -> str:
        """The app id under which a step marks what it has consumed of a source table."""
        return f"{target.name}/{step}/{self.table_id(source)}"

    def rising(self, target: Table, app_id: str, version: int) -> Txn | None:
        """The mark to write with rows; None when it is not above the stored one: Delta would skip the rows with it."""
        return None if _at_least(self.mark(target, app_id) or 0, version) else Txn(app_id, version)

    def advance(self, target: Table, app_id: str, version: int) -> None:
        """Leave a mark without rows, unless it is there already."""
        if not (txn := self.rising(target, app_id, version)):
            return
        if self._append_local(target, contract_schema(target).empty_table(), txn) is None:
            # Without a row Spark makes no commit but for a transaction, which takes it seconds.
            guard = {"txnAppId": txn.app_id, "txnVersion": str(txn.version)}
            self._append(target, self.no_rows(target), self._marks_with(target, txn), guard)

    def carry(self, target: Table, app_id: str, version: int) -> None:
        """Leave a mark with the next commit to the table; until then it is not there, and a crash loses it."""
        self._carried.setdefault(target.name, {})[app_id] = version

    def append(self, table: Table, frame: DataFrame, txn: Txn | None = None, *, count: int | None = None) -> int | None:
        """Append rows in one commit.

        Args:
            table: the contract; the frame must have its columns.
            frame: the rows.
            txn: when given, the append is skipped if this app id has written this version or a higher one.
            count: about how many rows there are, where that is known: up to `lake.arrow_rows` go through this process
                and past Spark, and more are written as one file for every `lake.rows_per_file`, not for every task.

        Returns:
            the version of the commit, or None when it was skipped.

        Raises:
            SchemaMismatchError: the frame differs from the contract.
        """
        rows = table.conform(frame)
        if txn and _at_least(self.mark(table, txn.app_id), txn.version):
            return None
        limits = self.settings.lake
        if count is not None and count <= limits.arrow_rows and _is_narrow(table) and self.past_spark(table):
            return self._append_rows(table, rows.toArrow(), txn)
        files = rows if count is None else rows.coalesce(1 + count // limits.rows_per_file)
        return self._append(table, files, self._marks_with(table, txn), {})

    def append_rows(self, table: Table, rows: pa.Table, txn: Txn | None = None) -> int | None:
        """Append rows that are in memory, in one commit: in milliseconds where the table is in a folder.

        Args:
            table: the contract.
            rows: with its columns, in any order.
            txn: as in `append`.

        Returns:
            the version of the commit, or None when it was skipped.
        """
        if txn and _at_least(self.mark(table, txn.app_id), txn.version):
            return None
        return self._append_rows(table, rows, txn)

    def upsert(
        self,
        table: Table,
        rows: pa.Table,
        txn: Txn | None = None,
        *,
        delete: pa.Table | None = None,
        within: Condition = (),
    ) -> int | None:
        """Insert rows of new keys and replace rows of known keys in one commit (a MERGE; in a catalog seconds).

        Args:
            table: the contract.
            rows: with its columns and each key once.
            txn: as in `append`.
            delete: keys (columns of the table's key) whose rows go in the same commit.
            within: what holds for every row of these keys, so that Spark does not read other files.

        Returns:
            the version of the commit, or None when it was skipped.
        """
        if txn and _at_least(self.mark(table, txn.app_id), txn.version):
            return None
        if self.past_spark(table) is not None:
            return self._upsert_local(table, rows, delete, txn)
        marks, view = self._marks_with(table, txn), f"upsert_{uuid.uuid4().hex}"
        frame_of(self.spark, merge_source(table, rows, delete)).coalesce(1).createOrReplaceTempView(view)
        try:
            with _noting(self.spark, marks):
                self.spark.sql(merge_statement(table, self.identifier(table), view, within))
        finally:
            self.spark.catalog.dropTempView(view)
        return self._committed(table, self.spark, marks)

    def note(self, table: Table) -> str:
        """The user metadata of a commit that is not made by this class, so that it keeps the marks of the table."""
        return note_of(self._marks_with(table, None))

    @contextmanager
    def keeping_marks(self, table: Table) -> Iterator[None]:
        """Let commits of this session's own SQL, such as an OPTIMIZE, keep the marks of the table."""
        with _noting(self.spark, self._marks(table)):
            yield

    def _append(self, table: Table, rows: DataFrame, marks: Marks, guard: Mapping[str, str]) -> int:
        session = rows.sparkSession
        writer = rows.write.format("delta").mode("append").options(userMetadata=note_of(marks), **guard)
        if self._catalog:
            writer.saveAsTable(self.identifier(table))
        else:
            writer.save(str(self.path(table)))
        return self._committed(table, session, marks)

    def _append_rows(self, table: Table, rows: pa.Table, txn: Txn | None) -> int:
        schema = contract_schema(table)
        ordered = rows.select(schema.names).cast(schema)
        if (version := self._append_local(table, ordered, txn)) is not None:
            return version
        return self._append(table, frame_of(self.spark, ordered).coalesce(1), self._marks_with(table, txn), {})

    def _append_local(self, table: Table, rows: pa.Table, txn: Txn | None) -> int | None:
        if self.past_spark(table) is None:
            return None
        marks = self._marks_with(table, txn)
        version = append(self._local.newest(self.path(table)), rows, note_of(marks))
        return self._written(table, version, marks)

    def _upsert_local(self, table: Table, rows: pa.Table, delete: pa.Table | None, txn: Txn | None) -> int:
        schema = contract_schema(table)
        ordered = rows.select(schema.names).cast(schema)
        while True:
            marks = self._marks_with(table, txn)
            newest = self._local.newest(self.path(table))
            version = upsert(self.path(table), newest, table, ordered, delete, note_of(marks))
            if version is not None:
                return self._written(table, version, marks)

    def _marks(self, table: Table) -> Marks:
        version = self.version(table)
        known = self._known.get(table.name)
        if known is None or known.version != version:
            known = self._known[table.name] = _Known(version, self._state(table).marks())
        return known.marks

    def _marks_with(self, table: Table, txn: Txn | None) -> Marks:
        marks = {**self._marks(table), **self._carried.get(table.name, {})}
        return {**marks, txn.app_id: txn.version} if txn else marks

    def _committed(self, table: Table, session: SparkSession, marks: Marks) -> int:
        return self._written(table, int(session.conf.get(_LAST_COMMIT) or self.version(table)), marks)

    def _written(self, table: Table, version: int, marks: Marks) -> int:
        self._known[table.name] = _Known(version, marks)
        self._carried.pop(table.name, None)
        return version


def _at_least(stored: int | None, wanted: int) -> bool:
    return stored is not None and stored >= wanted


@contextmanager
def _noting(session: SparkSession, marks: Marks) -> Iterator[None]:
    session.conf.set(_USER_METADATA, note_of(marks))
    try:
        yield
    finally:
        session.conf.unset(_USER_METADATA)


def _is_narrow(table: Table) -> bool:
    """Whether a row's size is bounded: a payload may be a megabyte."""
    return not any(isinstance(field.dataType, BinaryType) for field in table.schema.fields)
