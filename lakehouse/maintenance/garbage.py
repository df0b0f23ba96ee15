"""Files in a table's folder that no version still to be read needs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from lakehouse.maintenance.log_folder import LogFile, LogFolder

_FOLDERS = ("", "_change_data")


def removed_since(log: LogFolder, files: list[LogFile], since_s: float) -> set[str]:
    """The paths that commits after a time have taken out of the table.

    Args:
        log: of the table.
        files: what it holds.
        since_s: seconds since 1970.
    """
    base = max((file.version for file in files if file.is_checkpoint), default=-1)
    removed: list[tuple[str, int]] = []
    if base >= 0:
        told = pq.read_table(log.checkpoint_path(base), columns=["remove"], use_threads=False)["remove"]
        removed += [(one["path"], one["deletionTimestamp"] or 0) for one in told.to_pylist() if one and one["path"]]
    for version in (file.version for file in files if file.is_commit and file.version > base):
        removed += [(one["path"], one.get("deletionTimestamp", 0)) for _, one in log.actions(version, "remove")]
    return {path for path, at_ms in removed if at_ms >= since_s * 1000}


def unneeded(folder: Path, needed: Collection[str], before_s: float) -> Iterator[Path]:
    """Files of rows that are not needed and are older than a time: a younger one may be about to be committed.

    Args:
        folder: of the table.
        needed: paths, as names in it.
        before_s: seconds since 1970.
    """
    for inside in _FOLDERS:
        try:
            entries = list(os.scandir(folder / inside))
        except FileNotFoundError:
            continue
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.name.endswith(".parquet") and name not in needed and entry.stat().st_mtime < before_s:
                yield folder / name
