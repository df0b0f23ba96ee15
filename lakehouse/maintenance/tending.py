"""The upkeep of one table in a folder, in pieces between which its owner does other things."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import pyarrow as pa

from lakehouse.arrow import contract_schema
from lakehouse.faults import fault_point
from lakehouse.lake import Lake
from lakehouse.local_tables import append
from lakehouse.maintenance.compaction import Compaction, Judged
from lakehouse.maintenance.garbage import removed_since, unneeded
from lakehouse.maintenance.log_folder import cut
from lakehouse.maintenance.tended_table import Hold, TendedTable
from lakehouse.marks import marks_in
from lakehouse.table import Table

log = logging.getLogger(__name__)
Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Footprint:
    """How much there is of a table in a folder.

    Args:
        files: of its newest version.
        file_bytes: of these.
        disk_files: all files of rows, older versions' too.
        disk_bytes: of these.
        log_files: in `_delta_log`.
        log_bytes: of these.
    """

    files: int
    file_bytes: int
    disk_files: int
    disk_bytes: int
    log_files: int
    log_bytes: int


class Tending(TendedTable):
    """Compacts a table, cuts its log and deletes the files that no version still to be read needs.

    What readers can see changes in single commits and deletions, made while `hold` keeps batches out; what takes
    longer, to read and to write rows, touches nothing that they could see. It may be given up after any piece, and
    killed at any moment.
    """

    def __init__(self, lake: Lake, table: Table, hold: Hold, first_unread: Callable[[], int]) -> None:
        super().__init__(lake, table, hold, first_unread)
        self._compaction = Compaction(lake, table, hold, first_unread)

    def steps(self, judged: Judged) -> Iterator[None]:
        """Do all there is to do now, and pause after every piece of it.

        Args:
            judged: says which compaction is worth it: `Worth.by_and_by` or `Worth.at_once`.
        """
        yield from self._compaction.steps(judged)
        self._make_sure_of_marks()
        yield
        self._make_sure_of_checkpoint()
        yield
        yield from self._cut_log()
        yield from self._delete_unneeded()

    def footprint(self) -> Footprint:
        """Measure the table."""
        held = pa.table(self._newest().get_add_actions())["size_bytes"].to_pylist()
        on_disk = [entry.stat().st_size for entry in os.scandir(self._folder) if entry.name.endswith(".parquet")]
        in_log = [entry.stat().st_size for entry in os.scandir(self._folder / "_delta_log") if entry.is_file()]
        return Footprint(len(held), sum(held), len(on_disk), sum(on_disk), len(in_log), sum(in_log))

    def _make_sure_of_marks(self) -> None:
        """What a cut leaves must hold the marks."""
        with self._hold():
            newest = self._newest()
            if marks_in(newest.history(1)[0].get("userMetadata")) is None:
                append(newest, contract_schema(self._table).empty_table(), self._lake.note(self._table))

    def _make_sure_of_checkpoint(self) -> None:
        """Let the table be read without replaying more than some hundred commits; no batch need wait for it."""
        newest = self._newest()
        if newest.version() - max(self._log.hinted_checkpoint(), 0) >= self._limits.every_commits:
            newest.create_checkpoint()

    def _cut_log(self) -> Iterator[None]:
        keep_after_s = time.time() - self._limits.keep_log_s
        doomed = cut(self._log.files(), keep_after_s, self._first_unread(), self._log.hinted_checkpoint())
        for some in _pieces(doomed, self._limits.deleted_at_once):
            with self._hold():
                self._log.delete(some)
            fault_point("after_log_cut")
            yield

    def _delete_unneeded(self) -> Iterator[None]:
        before_s, files = time.time() - self._limits.keep_files_s, self._log.files()
        first_unread = self._first_unread()
        if any(file.written_s < before_s for file in files if file.is_commit and file.version >= first_unread):
            log.warning("%s: a step has not read on for long, so that no file is deleted", self._table.name)
            return
        needed = pa.table(self._newest().get_add_actions())["path"].to_pylist()
        needed += removed_since(self._log, files, before_s)
        yield
        for some in _pieces(
            list(unneeded(self._folder, set(map(unquote, needed)), before_s)), self._limits.deleted_at_once
        ):
            with self._hold():
                _delete(some)
            fault_point("after_files_deleted")
            yield


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _pieces(whole: Sequence[Piece], size: int) -> Iterator[Sequence[Piece]]:
    for start in range(0, len(whole), size):
        yield whole[start : start + size]
