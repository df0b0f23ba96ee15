"""One version of one table, read by delta-rs: all of it, or what a condition asks for."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from cryptolake.audit.parquet_rows import Columns, rows_of_file
from lakehouse.conditions import AnyOf, files_to_read
from lakehouse.errors import CryptolakeError
from lakehouse.marks import Marks, marks_in, newest_marks

_PIECE_ROWS = 32_768

PLAIN_READER_VERSION = 1  # above it a file's rows are not simply the table's rows (deletion vectors, renamed columns)


class PinnedTable:
    """One version of one table.

    Args:
        lake_folder: the folder of the tables.
        name: schema and table.

    Raises:
        CryptolakeError: the table is not there, cannot be read, or needs a reader that this one is not.
    """

    def __init__(self, lake_folder: Path, name: str) -> None:
        self.name = name
        self._folder = lake_folder / name.replace(".", "/")
        try:
            self._table = DeltaTable(str(self._folder))
            self.version = self._table.version()
            self.table_id = str(self._table.metadata().id)
            self._bounds = pa.table(self._table.get_add_actions())
            self.files = self._paths(self._bounds)
        except TableNotFoundError:
            raise no_lake(lake_folder, name) from None
        except DeltaError as error:
            raise CryptolakeError(
                f"The log of {name} cannot be read: {str(error).splitlines()[0]}", "The table is damaged; see the log."
            ) from None
        if self._table.protocol().min_reader_version > PLAIN_READER_VERSION:
            raise CryptolakeError(
                f"{name} uses table features that the audit does not read (deletion vectors or column mapping)",
                "Rewrite the table without them.",
            )

    def mark(self, app_id: str) -> int | None:
        """The highest version that writes under this app id had left by this version; None when there is none."""
        return self._marks.get(app_id)

    @cached_property
    def _marks(self) -> Marks:
        # Not by delta-rs's history: it begins at the newest commit, whatever version is loaded, and so tells of marks
        # that came after this version.
        for version in range(self.version, -1, -1):
            try:
                notes = [info.get("userMetadata") for info in self._commit(version, "commitInfo")]
            except FileNotFoundError:
                break
            if (marks := newest_marks(notes)) is not None:
                return marks
        return {}

    def marks_after(self, times: Collection[dt.datetime], app_id: str) -> dict[dt.datetime, int]:
        """Find for each time the mark that the first commit after it has left.

        Args:
            times: when what was committed was made.
            app_id: how the id of the mark begins.

        Returns:
            the marks by time, of those times whose commit the log still holds.
        """
        left: list[tuple[float, int]] = []  # commit time in ms, as the log has it
        before: Mapping[str, int] = {}
        for entry in reversed(self._table.history()):
            marks = marks_in(entry.get("userMetadata")) or before
            left += [
                (entry["timestamp"], m)
                for name, m in marks.items()
                if name.startswith(app_id) and m != before.get(name)
            ]
            before = marks
        whole = (self._folder / "_delta_log" / f"{0:020d}.json").exists()
        found = {}
        for time in times:
            ms = time.timestamp() * 1000 - 1
            after = [mark for commit_ms, mark in left if commit_ms >= ms]
            if after and (whole or left[0][0] < ms):
                found[time] = after[0]
        return found

    def rows(self, where: AnyOf | None = None) -> int:
        """How many rows the files hold in which a row may fulfil one of the conditions; of all files without any."""
        files = self._bounds if where is None else self._reached(where)
        counts = files["num_records"]
        unknown = files.filter(counts.is_null()) if counts.null_count else files.slice(0, 0)
        return int(pc.sum(counts).as_py() or 0) + sum(map(self._rows_in, self._paths(unknown)))

    def files_above(self, mark: int | None) -> frozenset[str]:
        """The files whose rows were first written in a version above the mark; all of them when there is no mark.

        Raises:
            CryptolakeError: the log above the mark has been cleaned.
        """
        if mark is None:
            return frozenset(self.files)
        above: set[str] = set()
        for version in range(mark + 1, self.version + 1):
            # Files that only rearrange rows (a compaction) are above the mark when newer rows are among them.
            gone = {self._path(action["path"]) for action in self._actions(version, "remove")}
            rearranged = not above.isdisjoint(gone)
            adds = self._actions(version, "add")
            above |= {self._path(add["path"]) for add in adds if rearranged or add.get("dataChange", True)}
        return frozenset(file for file in self.files if file in above)

    def changes_above(self, mark: int | None, columns: Columns, batch_bytes: int) -> Iterator[Any]:
        """Read the rows that versions above the mark wrote or changed, without those that a MERGE copied only.

        Args:
            mark: the version; None asks for all rows.
            columns: as for `batches`.
            batch_bytes: about how large a piece is.

        Raises:
            CryptolakeError: the log above the mark has been cleaned, or a file is damaged or gone.
        """
        for file in self.files if mark is None else self._changed_files(mark):
            yield from self._file_batches(file, columns, batch_bytes)

    def batches(
        self,
        columns: Columns,
        batch_bytes: int,
        above: Collection[str] = frozenset(),
        where: AnyOf | None = None,
    ) -> Iterator[tuple[bool, Any]]:
        """Read rows in pieces: large files in parts, small ones together.

        Args:
            columns: what to read, and the Arrow types to give it; a column that an old file lacks is null.
            batch_bytes: about how large a piece is.
            above: files whose rows are told apart from the others, and come after them.
            where: of the other files only the rows that fulfil one of these conditions (so none, when there is none);
                files and groups of rows whose bounds say that none of theirs can are not read. Without it, all rows.

        Yields:
            whether the rows are of those files, and a RecordBatch.

        Raises:
            CryptolakeError: a file is damaged or gone.
        """
        reached = self.files if where is None else self._paths(self._reached(where))
        for apart in (False, True):
            files = (file for file in (self.files if apart else reached) if (file in above) == apart)
            wanted = None if apart else where
            yield from ((apart, batch) for batch in self._pieces(files, columns, batch_bytes, wanted))

    def newest_first(
        self, columns: Columns, batch_bytes: int, time: str, before: AnyOf
    ) -> Iterator[tuple[int, Iterator[Any]]]:
        """Give for each file, from the one that reaches furthest in a time, the rows that fulfil one of the conditions.

        Args:
            columns: as for `batches`.
            batch_bytes: about how large a piece is.
            time: the column.
            before: the conditions.

        Yields:
            how many rows the file has, and those that fulfil one of the conditions.
        """
        files = self._reached(before)
        if "max" in files.schema.names and time in files.schema.field("max").type.names:
            ends = files["max"].combine_chunks().field(time)
            files = files.take(pc.array_sort_indices(ends, order="descending", null_placement="at_start"))
        for path, rows in zip(files["path"].to_pylist(), files["num_records"].to_pylist(), strict=True):
            yield rows or 0, self._file_batches(self._path(path), columns, batch_bytes, before)

    def _pieces(self, files: Iterable[str], columns: Columns, batch_bytes: int, where: AnyOf | None) -> Iterator[Any]:
        held: list[Any] = []
        rows = size = 0
        for file in files:
            for batch in self._file_batches(file, columns, batch_bytes, where):
                held.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if rows >= _PIECE_ROWS or size >= batch_bytes:
                    yield pa.concat_batches(held)
                    held, rows, size = [], 0, 0
        if held:
            yield pa.concat_batches(held)

    def _file_batches(self, file: str, columns: Columns, batch_bytes: int, where: AnyOf | None = None) -> Iterator[Any]:
        try:
            yield from rows_of_file(file, columns, batch_bytes, where)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(file, error) from None

    def _rows_in(self, file: str) -> int:
        try:
            return int(pq.read_metadata(file).num_rows)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(file, error) from None

    def _reached(self, where: AnyOf) -> Any:
        return files_to_read(self._bounds, where) if where else self._bounds.slice(0, 0)

    def _paths(self, files: Any) -> tuple[str, ...]:
        return tuple(sorted(map(self._path, files["path"].to_pylist())))

    def _path(self, path: str) -> str:
        return str(self._folder / unquote(path))

    def _unreadable(self, file: str, error: Exception) -> CryptolakeError:
        return CryptolakeError(
            f"A file of {self.name} cannot be read: {file} ({str(error).splitlines()[0]})",
            "If it was cleaned away meanwhile, audit again; otherwise the table is damaged.",
        )

    def _changed_files(self, mark: int) -> Iterator[str]:
        for version in range(mark + 1, self.version + 1):
            # A table with a change feed says for a MERGE which rows it changed.
            told = self._actions(version, "cdc")
            for action in told or self._actions(version, "add"):
                if told or action.get("dataChange", True):
                    yield self._path(action["path"])

    def _actions(self, version: int, kind: str) -> list[dict[str, Any]]:
        try:
            return self._commit(version, kind)
        except FileNotFoundError:
            raise CryptolakeError(
                f"Version {version} of {self.name} is above its reader's mark and no longer in the log",
                "Let `cryptolake run --until-idle` catch up, then audit again.",
            ) from None

    def _commit(self, version: int, kind: str) -> list[dict[str, Any]]:
        path = self._folder / "_delta_log" / f"{version:020d}.json"
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)[kind] for line in lines if line.startswith(f'{{"{kind}"')]


class NothingToAudit(CryptolakeError):
    """The home has no tables yet."""


def no_lake(lake_folder: Path, name: str) -> NothingToAudit:
    """The error of a home without tables."""
    return NothingToAudit(
        f"There is nothing to audit: no table {name} in {lake_folder}",
        "Fill the lake first, e.g. with `cryptolake demo` or `cryptolake run --until-idle`.",
    )
