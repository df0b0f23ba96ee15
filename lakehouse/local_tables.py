"""Tables in folders, read and appended to by delta-rs: in milliseconds, without a Spark job."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

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


def appendable(table: DeltaTable) -> bool:
    """Whether delta-rs can append to a table."""
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
    write_deltalake(table, rows, mode="append", commit_properties=CommitProperties({"userMetadata": note}))
    return table.version()
