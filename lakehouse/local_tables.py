"""Tables in folders, read and written by delta-rs: in milliseconds, without a Spark job."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

GONE = "_gone"
# delta-rs refuses to write to tables with the others, such as liquid clustering, which homes made before have.
_WRITABLE = frozenset(("appendOnly", "invariants", "checkConstraints", "changeDataFeed"))


class LocalTables:
    """Loads each table once and then only what has been committed since; serves any number of threads."""

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[int, DeltaTable]] = {}
        self._lock = threading.Lock()

    def newest(self, folder: Path) -> DeltaTable:
        """The newest version of a table.

        Args:
            folder: where it is.
        """
        made = os.stat(folder / "_delta_log").st_ino  # another one, if the table was made anew
        with self._lock:
            known, table = self._loaded.get(folder, (None, None))
            if table is None or known != made:
                table = DeltaTable(str(folder))
                self._loaded[folder] = (made, table)
            else:
                table.update_incremental()
            return table


def writable(table: DeltaTable) -> bool:
    """Whether delta-rs can write to a table."""
    return set(table.protocol().writer_features or ()) <= _WRITABLE


def append(table: DeltaTable, rows: pa.Table, note: str) -> int:
    """Append rows in one commit, and one file; without rows the commit is the note alone.

    Args:
        table: its newest version.
        rows: with the columns of the table.
        note: user metadata of the commit.

    Returns:
        the version of the commit.
    """
    write_deltalake(table, rows, mode="append", commit_properties=_with_note(note))
    return table.version()


def merge(table: DeltaTable, rows: pa.Table, key: Sequence[str], note: str) -> int:
    """Insert, replace and delete rows by their key, in one commit.

    Args:
        table: its newest version.
        rows: each key once, with the columns of the table and GONE, which says whether the row goes; of such rows only
            the key counts.
        key: columns of the table, of which some may be null.
        note: user metadata of the commit.

    Returns:
        the version of the commit.
    """
    stays = f"NOT s.{GONE}"
    values = {name: f's."{name}"' for name in rows.schema.names if name != GONE}
    # Not streamed: so the bounds of the source's keys are known, and files outside them are not opened.
    merger = table.merge(
        rows,
        " AND ".join(_same(key, rows)),
        source_alias="s",
        target_alias="t",
        streamed_exec=False,
        commit_properties=_with_note(note),
    )
    merger = merger.when_matched_delete(f"s.{GONE}").when_matched_update(values, stays)
    merger.when_not_matched_insert(values, stays).execute()
    return table.version()


def _same(key: Sequence[str], rows: pa.Table) -> Iterator[str]:
    for name in key:
        has_null = bool(rows[name].null_count)
        # Files are told apart by bounds of columns only where both sides are compared with =.
        yield f'(t."{name}" IS NOT DISTINCT FROM s."{name}")' if has_null else f't."{name}" = s."{name}"'


def _with_note(note: str) -> CommitProperties:
    return CommitProperties({"userMetadata": note})
