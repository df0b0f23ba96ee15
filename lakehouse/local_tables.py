"""Tables in folders, made here, read and appended to by delta-rs: in milliseconds, without a Spark job."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from lakehouse.ddl import properties_of
from lakehouse.table import Table

# delta-rs refuses to write to tables with the others, such as liquid clustering, which homes made before have.
_WRITABLE = frozenset(("appendOnly", "invariants", "checkConstraints", "changeDataFeed"))


# A checkpoint is a second's work of whoever writes the hundredth commit; files of a batch are not rewritten for a row.
_PROPERTIES = {"delta.checkpointInterval": "100", "delta.enableDeletionVectors": "false"}


def exists(folder: Path) -> bool:
    """Whether there is a table in a folder; a log without a commit, as a kill -9 may leave, is none."""
    return DeltaTable.is_deltatable(str(folder))


def create(folder: Path, table: Table) -> None:
    """Write the first commit of a table, unless there is one.

    By hand, after Delta's protocol (PROTOCOL.md, "Actions"): Spark takes a second for each table, and delta-rs refuses
    constraints here, adds them in a second commit, and in words of its own.

    Args:
        folder: where it will be.
        table: its contract.
    """
    if exists(folder):
        return
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    now_ms = time.time_ns() // 1_000_000
    metadata = {
        "id": str(uuid.uuid4()),
        "description": table.comment,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": table.schema.json(),
        "partitionColumns": [],
        "configuration": _PROPERTIES | properties_of(table),
        "createdTime": now_ms,
    }
    actions: list[Mapping[str, object]] = [
        {"commitInfo": {"timestamp": now_ms, "operation": "CREATE TABLE", "operationParameters": {}}},
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": sorted(_WRITABLE)}},
        {"metaData": metadata},
    ]
    beside = log / f".{uuid.uuid4().hex}.tmp"
    beside.write_text("".join(json.dumps(action) + "\n" for action in actions), encoding="utf-8")
    try:
        (log / f"{0:020}.json").hardlink_to(beside)  # unlike a rename it does not replace another's commit
    except FileExistsError:
        pass
    finally:
        beside.unlink()


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
