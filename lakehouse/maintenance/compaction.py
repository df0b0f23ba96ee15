"""Makes many small files of a table one, in pieces; readers see one commit that changes no row.

Not by the `optimize` of delta-rs or of Spark: neither can be told which files to leave alone, nor be stopped between
two of them. The commit is written here, since delta-rs makes none that takes files out and is no change of rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from ulid import ULID

from lakehouse.ddl import bounded
from lakehouse.errors import CryptolakeError
from lakehouse.faults import fault_point
from lakehouse.maintenance.bounds import FileBounds
from lakehouse.maintenance.grouping import DataFile, Worth, next_group
from lakehouse.maintenance.log_folder import Action
from lakehouse.maintenance.rewriting import Rewriting
from lakehouse.maintenance.tended_table import TendedTable
from lakehouse.settings.maintenance import MaintenanceSettings

Judged = Callable[[MaintenanceSettings, int], Worth]
_EPOCH = datetime.fromtimestamp(0, UTC)


class Compaction(TendedTable):
    """Compacts one table."""

    def steps(self, judged: Judged) -> Iterator[None]:
        """Compact until nothing is to be gained, and pause after every piece.

        Args:
            judged: says what is worth it.
        """
        target_bytes = self._limits.target_bytes if self._table.append_only else self._limits.merged_bytes
        while group := next_group(self._cold_files(), judged(self._limits, target_bytes)):
            yield from self._compact(group)

    def _cold_files(self) -> list[DataFile]:
        """The files that may be compacted: none that a step has still to read, nor one that is likely to be merged."""
        newest = self._newest()
        unread = {
            action["path"]
            for version in range(self._first_unread(), newest.version() + 1)
            for _, action in self._log.actions(version, "add")
        }
        before_ms = (time.time() - (0 if self._table.append_only else self._limits.hot_s)) * 1000
        files = self._files(pa.table(newest.get_add_actions()))
        return [file for file in files if file.path not in unread and file.written_ms <= before_ms]

    def _files(self, actions: pa.Table) -> list[DataFile]:
        columns = (actions[name].to_pylist() for name in ("path", "size_bytes", "modification_time"))
        return [
            DataFile(path, size, written_ms * 1000 if first is None else _us(first), written_ms)
            for path, size, written_ms, first in zip(*columns, self._first_times(actions), strict=True)
        ]

    def _first_times(self, actions: pa.Table) -> Sequence[datetime | None]:
        """The least time of each file's rows, of the column that leads the table's clustering."""
        leading = next(iter(self._table.cluster_by), None)
        bounds = actions["min"].combine_chunks() if "min" in actions.column_names else None
        if bounds is None or leading not in bounds.type.names:
            return [None] * actions.num_rows
        firsts: list[datetime | None] = bounds.field(leading).to_pylist()
        return firsts

    def _compact(self, group: Sequence[DataFile]) -> Iterator[None]:
        target = self._folder / f"part-00000-{ULID()}-c000.zstd.parquet"
        sources = [self._folder / unquote(file.path) for file in group]
        schema = pa.schema(self._newest().schema().to_arrow())
        rewriting = Rewriting(sources, target, schema, self._table.cluster_by, bounded(self._table), self._limits)
        yield from rewriting.steps()
        committed = False
        try:
            fault_point("after_compacted_file")
            with self._hold():
                committed = self._commit(group, target, rewriting.bounds)
            fault_point("after_compaction_commit")
        finally:
            if not committed:
                target.unlink(missing_ok=True)
        yield

    def _commit(self, group: Sequence[DataFile], target: Path, bounds: FileBounds) -> bool:
        """Put the new file in the place of the old ones, unless one of these has gone meanwhile."""
        newest, paths = self._newest(), {file.path for file in group}
        held = pa.table(newest.get_add_actions())
        rows = dict(zip(held["path"].to_pylist(), held["num_records"].to_pylist(), strict=True))
        if not paths <= rows.keys():
            return False
        said = [rows[path] for path in paths]
        if None not in said and sum(said) != bounds.rows:
            raise CryptolakeError(
                f"{self._table.name}: files of {sum(said)} rows were read as {bounds.rows}; they stay as they are",
                "Run `cryptolake audit`.",
            )
        actions = _actions(group, target, bounds, newest.version(), self._lake.note(self._table))
        return self._log.commit(newest.version() + 1, actions)


def _us(time_utc: datetime) -> int:
    return (time_utc - _EPOCH) // timedelta(microseconds=1)


def _actions(group: Sequence[DataFile], target: Path, bounds: FileBounds, read_version: int, note: str) -> list[Action]:
    now_ms, size = time.time_ns() // 1_000_000, target.stat().st_size
    metrics = {"numRemovedFiles": len(group), "numRemovedBytes": sum(file.size for file in group)}
    metrics |= {"numAddedFiles": 1, "numAddedBytes": size}
    info = {
        "timestamp": now_ms,
        "operation": "OPTIMIZE",
        "operationParameters": {"predicate": "[]"},
        "readVersion": read_version,
        "isolationLevel": "SnapshotIsolation",
        "isBlindAppend": False,
        "operationMetrics": {name: str(figure) for name, figure in metrics.items()},
        "engineInfo": "cryptolake",
        "userMetadata": note,
    }
    common: dict[str, Any] = {"partitionValues": {}, "dataChange": False}
    removed = [
        {"path": file.path, "deletionTimestamp": now_ms, "extendedFileMetadata": True, "size": file.size, **common}
        for file in group
    ]
    # The time of its newest rows, not of now: files stay in the order of theirs.
    added = {"path": target.name, "size": size, "modificationTime": max(file.written_ms for file in group), **common}
    added["stats"] = json.dumps(bounds.as_stats(), separators=(",", ":"))
    return [{"commitInfo": info}, *({"remove": one} for one in removed), {"add": added}]
