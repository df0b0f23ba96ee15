"""Tables in folders, made here, read and appended to by delta-rs: in milliseconds, without a Spark job."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from lakehouse.ddl import properties_of
from lakehouse.maintenance.log_folder import Action, LogFolder
from lakehouse.table import Table

# delta-rs refuses to write to tables with the others, such as liquid clustering, which homes made before have.
_WRITABLE = frozenset(("appendOnly", "invariants", "checkConstraints", "changeDataFeed"))


# A checkpoint is a second's work of whoever writes the hundredth commit; files of a batch are not rewritten for a row.
_PROPERTIES = {"delta.checkpointInterval": "100", "delta.enableDeletionVectors": "false"}


def exists(folder: Path) -> bool:
    """Whether there is a table in a folder; a log without a commit, as a kill -9 may leave, is none."""
    return DeltaTable.is_deltatable(str(folder))


def create(folder: Path, table: Table, properties: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write the first commit of a table, unless there is one.

    By hand, after Delta's protocol (PROTOCOL.md, "Actions"): Spark takes a second for each table, and delta-rs refuses
    constraints here, adds them in a second commit, and in words of its own.

    Args:
        folder: where it will be.
        table: its contract.
        properties: of its upkeep.
    """
    if exists(folder):
        return
    (folder / "_delta_log").mkdir(parents=True, exist_ok=True)
    now_ms = time.time_ns() // 1_000_000
    metadata = {
        "id": str(uuid.uuid4()),
        "description": table.comment,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": table.schema.json(),
        "partitionColumns": [],
        "configuration": {**_PROPERTIES, **properties, **properties_of(table)},
        "createdTime": now_ms,
    }
    actions: list[Action] = [
        {"commitInfo": {"timestamp": now_ms, "operation": "CREATE TABLE", "operationParameters": {}}},
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": sorted(_WRITABLE)}},
        {"metaData": metadata},
    ]
    LogFolder(folder).commit(0, actions)  # or another process has been faster


@dataclass(frozen=True)
class _Loaded:
    """A table as this process has it; `made` tells it from another that was made anew in its folder."""

    made: int
    from_version: int
    table: DeltaTable


class LocalTables:
    """Loads each table once and then only what has been committed since; serves any number of threads.

    Args:
        reload_commits: after so many commits a table is loaded anew: what delta-rs has taken in commit by commit it
            keeps in as many pieces, and an append costs 10 ms at first and 30 ms after 300.
    """

    def __init__(self, reload_commits: int) -> None:
        self._reload_commits = reload_commits
        self._loaded: dict[Path, _Loaded] = {}
        self._lock = threading.Lock()

    def newest(self, folder: Path) -> DeltaTable:
        """The newest version of a table.

        Args:
            folder: where it is.
        """
        made = os.stat(folder / "_delta_log").st_ino
        with self._lock:
            known = self._loaded.get(folder)
            if known is None or known.made != made or not self._updated(folder, known):
                table = DeltaTable(str(folder))
                known = self._loaded[folder] = _Loaded(made, table.version(), table)
            return known.table

    def _updated(self, folder: Path, known: _Loaded) -> bool:
        version = known.table.version()
        if version - known.from_version >= self._reload_commits:
            return False
        # Two looks into the folder instead of 4 ms: the log is cut from its old end only.
        here, above = (folder / "_delta_log" / f"{version + step:020d}.json" for step in (0, 1))
        if here.exists() and not above.exists():
            return True
        try:
            known.table.update_incremental()
        except DeltaError:
            return False  # the log has been cut above what is loaded
        return True


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
