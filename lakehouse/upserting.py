"""Rows of a table in a folder replaced, put in and taken out by its key, in one commit: without a Spark job.

After Delta's protocol (PROTOCOL.md, "Actions", "Change Data Files"). Not by the merge of delta-rs, whose files hold
texts as string views, by which neither pyarrow nor DuckDB can filter.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from ulid import ULID

from lakehouse.arrow import padded
from lakehouse.conditions import Condition, files_to_read, spanning
from lakehouse.ddl import bounded
from lakehouse.errors import CryptolakeError
from lakehouse.maintenance.bounds import FileBounds
from lakehouse.maintenance.log_folder import Action, LogFolder
from lakehouse.selecting import engine
from lakehouse.table import Table

_CHANGE_FEED = "delta.enableChangeDataFeed"
_CHANGE_TYPE, _CHANGES_FOLDER = "_change_type", "_change_data"
_BEFORE, _AFTER, _NEW, _GONE = "update_preimage", "update_postimage", "insert", "delete"


class ConstraintError(CryptolakeError):
    """A row breaks a constraint of its table."""


@dataclass(frozen=True)
class _Touched:
    """A file that holds rows of the keys.

    Args:
        path: as the log names it.
        size: bytes.
        rows: all that it holds.
        at: the places of those of the keys.
    """

    path: str
    size: int
    rows: pa.Table
    at: pa.Array


def upsert(
    folder: Path, newest: DeltaTable, table: Table, rows: pa.Table, delete: pa.Table | None, note: str
) -> int | None:
    """Insert rows of new keys, replace rows of known keys and delete others.

    Args:
        folder: of the table.
        newest: its newest version.
        table: its contract.
        rows: with its columns and each key once.
        delete: keys whose rows go; None for none.
        note: user metadata of the commit.

    Returns:
        the version of the commit; None when another writer was faster, and nothing was done.

    Raises:
        ConstraintError: a row breaks a constraint, or the table is append-only; nothing was done.
    """
    if table.append_only:
        raise ConstraintError(f"{table.name} is append-only: its rows are never changed", "Nothing was written.")
    read_version = newest.version()  # first: what another thread loads meanwhile makes the commit fail
    schema = pa.schema(newest.schema().to_arrow())
    new = pa.table(padded({n: rows[n] for n in rows.column_names}, rows.num_rows, schema), schema=schema)
    _hold_to_constraints(table, new)
    keys = new.select(list(table.key))
    if delete is not None:
        keys = pa.concat_tables([keys, delete.select(list(table.key)).cast(keys.schema)])
    if not keys.num_rows:
        return read_version
    written = _Written(folder, table, schema, feeds=newest.metadata().configuration.get(_CHANGE_FEED) == "true")
    try:
        # File by file, so that one is in memory at a time.
        known = _replaced(written, _touched(folder, newest, table, keys, schema), new, table)
        fresh = new.filter(pc.invert(known))
        written.add(fresh)
        written.tell(fresh, _NEW)
        actions = written.actions(read_version, note)
        committed = LogFolder(folder).commit(read_version + 1, actions)
    except BaseException:
        written.undo()
        raise
    if not committed:
        written.undo()
    return read_version + 1 if committed else None


def _replaced(written: _Written, touched: Iterable[_Touched], new: pa.Table, table: Table) -> pa.Array:
    """Write the touched files anew, each with what its rows have become; say which of the new rows had been there."""
    known = pa.repeat(False, new.num_rows)
    for file in touched:
        before = file.rows.take(file.at)
        after = _places(new, before, table.key)
        replaced = new.take(after)
        was = _places(before, replaced, table.key)
        written.remove(file)
        written.add(pa.concat_tables([file.rows.take(_apart(file.rows, file.at)), replaced]))
        written.tell(before.take(was), _BEFORE)
        written.tell(replaced, _AFTER)
        written.tell(before.take(_apart(before, was)), _GONE)
        known = pc.or_(known, pc.is_in(pa.array(range(new.num_rows), pa.int64()), after))
    return known


def _touched(folder: Path, newest: DeltaTable, table: Table, keys: pa.Table, schema: pa.Schema) -> Iterator[_Touched]:
    within: Condition = [one for name in table.key if not keys[name].null_count for one in spanning(name, keys)]
    files = files_to_read(pa.table(newest.get_add_actions()), [within] if within else ())
    for path, size in zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True):
        with pq.ParquetFile(folder / unquote(path), coerce_int96_timestamp_unit="us") as file:
            found = file.read()
        rows = pa.table(padded({n: found[n] for n in found.column_names}, found.num_rows, schema), schema=schema)
        at = _places(rows, keys, table.key)
        if len(at):
            yield _Touched(path, size, rows, at)


def _places(rows: pa.Table, keys: pa.Table, key: Sequence[str]) -> pa.Array:
    """The places of the rows whose key is among those of others, in order; null is the same as null."""
    numbered = rows.select(list(key)).append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    same = " AND ".join(f'numbered."{name}" IS NOT DISTINCT FROM keys."{name}"' for name in key)
    query = f"SELECT place FROM numbered WHERE EXISTS (SELECT 1 FROM keys WHERE {same}) ORDER BY place"  # noqa: S608
    with engine() as connection:
        connection.register("numbered", numbered)
        connection.register("keys", keys.select(list(key)))
        return connection.sql(query).to_arrow_table()["place"].combine_chunks()


def _apart(rows: pa.Table, at: pa.Array) -> pa.Array:
    everywhere = pa.array(range(rows.num_rows), pa.int64())
    return everywhere.filter(pc.invert(pc.is_in(everywhere, at)))


def _hold_to_constraints(table: Table, rows: pa.Table) -> None:
    lacking = [name for name in rows.schema.names if not rows.schema.field(name).nullable and rows[name].null_count]
    if lacking:
        raise ConstraintError(f"A row for {table.name} has no {', '.join(lacking)}", "Nothing was written.")
    for name, condition in table.constraints.items():
        with engine() as connection:
            connection.register("judged", rows)
            broken = connection.sql(f"SELECT 1 FROM judged WHERE ({condition}) IS FALSE").to_arrow_table()  # noqa: S608
        if broken.num_rows:
            raise ConstraintError(
                f"{broken.num_rows} rows for {table.name} break its constraint {name}: {condition}",
                "Nothing was written.",
            )


class _Written:
    """The files of one commit, which nobody sees before it.

    Args:
        folder: of the table.
        table: its contract.
        schema: its columns.
        feeds: whether the table has a change feed.
    """

    def __init__(self, folder: Path, table: Table, schema: pa.Schema, *, feeds: bool) -> None:
        self._folder = folder
        self._schema = schema
        self._feeds = feeds
        self._bounded = bounded(table)
        self._changes: list[pa.Table] = []
        self._adds: list[Action] = []
        self._removes: list[Action] = []
        self._paths: list[Path] = []
        self._rows = dict.fromkeys((_BEFORE, _AFTER, _NEW, _GONE), 0)

    def remove(self, file: _Touched) -> None:
        """Take a file out of the table; its bytes stay for who reads an older version."""
        self._removes.append(
            {
                "path": file.path,
                "partitionValues": {},
                "size": file.size,
                "deletionTimestamp": _now_ms(),
                "dataChange": True,
                "extendedFileMetadata": True,
            }
        )

    def add(self, rows: pa.Table) -> None:
        """Write rows as one file, if there are any."""
        if not rows.num_rows:
            return
        bounds = FileBounds(self._bounded)
        bounds.take(rows)
        path = self._write(rows, f"part-00000-{ULID()}-c000.zstd.parquet")
        size = path.stat().st_size
        self._adds.append(
            {
                "path": path.name,
                "partitionValues": {},
                "size": size,
                "modificationTime": _now_ms(),
                "dataChange": True,
                "stats": json.dumps(bounds.as_stats(), separators=(",", ":")),
            }
        )

    def tell(self, rows: pa.Table, change: str) -> None:
        """Note what has become of rows."""
        self._rows[change] += rows.num_rows
        if self._feeds and rows.num_rows:
            self._changes.append(rows.append_column(_CHANGE_TYPE, pa.repeat(change, rows.num_rows)))

    def actions(self, read_version: int, note: str) -> list[Action]:
        """The commit."""
        metrics = {
            "numTargetRowsInserted": self._rows[_NEW],
            "numTargetRowsUpdated": self._rows[_AFTER],
            "numTargetRowsDeleted": self._rows[_GONE],
            "numTargetFilesAdded": len(self._adds),
            "numTargetFilesRemoved": len(self._removes),
        }
        info = {
            "timestamp": _now_ms(),
            "operation": "MERGE",
            "operationParameters": {"predicate": "[]"},
            "readVersion": read_version,
            "isolationLevel": "Serializable",
            "isBlindAppend": False,
            "operationMetrics": {name: str(figure) for name, figure in metrics.items()},
            "engineInfo": "cryptolake",
            "userMetadata": note,
        }
        found: list[Action] = [{"commitInfo": info}]
        found += [{"remove": one} for one in self._removes]
        found += [{"add": one} for one in self._adds]
        if self._changes:
            (self._folder / _CHANGES_FOLDER).mkdir(exist_ok=True)
            name = f"{_CHANGES_FOLDER}/cdc-00000-{ULID()}.c000.zstd.parquet"
            size = self._write(pa.concat_tables(self._changes), name).stat().st_size
            found.append({"cdc": {"path": name, "partitionValues": {}, "size": size, "dataChange": False}})
        return found

    def undo(self) -> None:
        """Remove the files again."""
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _write(self, rows: pa.Table, name: str) -> Path:
        path = self._folder / name
        self._paths.append(path)
        pq.write_table(rows, path, compression="zstd")
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return path


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
