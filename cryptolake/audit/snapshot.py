"""The tables as they were at one moment, read by delta-rs, newest things first."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from bronze.tables import FRAMES
from cryptolake.audit.kinds import KINDS, Kind
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings
from lakehouse.table_state import local_marks
from silver.tables import (
    CANDLES,
    FIVE_MINUTE_BARS,
    GAPS,
    ONE_MINUTE_BARS,
    PRICES,
    QUARANTINE,
    SIX_MINUTE_TRENDS,
    SYMBOLS,
    TICKERS,
    TRADES,
)

Columns = Mapping[str, pa.DataType]
_PIECE_ROWS = 32_768
_PIN_ATTEMPTS = 20

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
            self.files = tuple(sorted(self._table.file_uris()))
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
        """The highest version that writes under this app id have left; None when there is none."""
        return local_marks(self._table).get(app_id)

    def rows(self) -> int:
        """How many rows the table has, from the footers of its files."""
        count = 0
        for file in self.files:
            try:
                count += int(pq.read_metadata(file).num_rows)
            except (OSError, pa.ArrowException) as error:
                raise self._unreadable(file, error) from None
        return count

    def files_above(self, mark: int | None) -> frozenset[str]:
        """The files whose rows were first written in a version above the mark; all of them when there is no mark.

        Raises:
            CryptolakeError: the log above the mark has been cleaned.
        """
        if mark is None:
            return frozenset(self.files)
        above, data_came = set(), False
        for version in range(mark + 1, self.version + 1):
            adds = self._actions(version, "add")
            data_came = data_came or any(add.get("dataChange", True) for add in adds)
            # Files that only rearrange rows (OPTIMIZE) are above the mark only when newer rows can be among them.
            above |= {str(self._folder / add["path"]) for add in adds if data_came}
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
        self, columns: Columns, batch_bytes: int, above: Collection[str] = frozenset()
    ) -> Iterator[tuple[bool, Any]]:
        """Read all rows in pieces: large files in parts, small ones together.

        Args:
            columns: what to read, and the Arrow types to give it; a column that an old file lacks is null.
            batch_bytes: about how large a piece is.
            above: files whose rows are told apart from the others, and come after them.

        Yields:
            whether the rows are of those files, and a RecordBatch.

        Raises:
            CryptolakeError: a file is damaged or gone.
        """
        for apart in (False, True):
            held: list[Any] = []
            rows = size = 0
            for file in (file for file in self.files if (file in above) == apart):
                for batch in self._file_batches(file, columns, batch_bytes):
                    held.append(batch)
                    rows, size = rows + batch.num_rows, size + batch.nbytes
                    if rows >= _PIECE_ROWS or size >= batch_bytes:
                        yield apart, pa.concat_batches(held)
                        held, rows, size = [], 0, 0
            if held:
                yield apart, pa.concat_batches(held)

    def _file_batches(self, file: str, columns: Columns, batch_bytes: int) -> Iterator[Any]:
        try:
            with pq.ParquetFile(file, coerce_int96_timestamp_unit="us") as source:
                held = [name for name in columns if name in source.schema_arrow.names]
                size = _batch_rows(source.metadata, held, batch_bytes)
                for batch in source.iter_batches(batch_size=size, columns=held, use_threads=False):
                    yield _conformed(batch, columns)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(file, error) from None

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
                    yield str(self._folder / action["path"])

    def _actions(self, version: int, kind: str) -> list[dict[str, Any]]:
        path = self._folder / "_delta_log" / f"{version:020d}.json"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise CryptolakeError(
                f"Version {version} of {self.name} is above its reader's mark and no longer in the log",
                "Let `cryptolake run --until-idle` catch up, then audit again.",
            ) from None
        return [json.loads(line)[kind] for line in lines if line.startswith(f'{{"{kind}"')]


@dataclass(frozen=True)
class Snapshot:
    """All tables of one audit.

    Upper tables are pinned first, so that what they hold is explained by the lower ones, pinned later. Of refine's
    tables trades is its last write and therefore pinned before the others; `pinned_us` is the time before that.
    """

    pinned_us: int
    trends: PinnedTable
    windows: PinnedTable
    bars: PinnedTable
    trades: PinnedTable
    quarantine: PinnedTable
    prices: PinnedTable
    tickers: PinnedTable
    candles: PinnedTable
    gaps: PinnedTable
    symbols: PinnedTable
    frames: PinnedTable

    @classmethod
    def pin(cls, lake_folder: Path) -> Snapshot:
        """Pin the newest version of every table, from the top down.

        A replay of the quarantine marks rows after it has put them into silver; a mark that came while the tables were
        being pinned would speak of rows that the pinned version of silver lacks, so then they are pinned anew.

        Raises:
            CryptolakeError: there is no lake yet, or a table cannot be read, or replays do not let it be pinned.
        """
        now_us = time.time_ns() // 1000
        upper = (SIX_MINUTE_TRENDS, FIVE_MINUTE_BARS, ONE_MINUTE_BARS)
        top = [PinnedTable(lake_folder, table.name) for table in upper]
        for _ in range(_PIN_ATTEMPTS):
            before = PinnedTable(lake_folder, QUARANTINE.name)
            # Names are pinned behind the tables that hold them: a row's name is in a version that is no older.
            below = (TRADES, QUARANTINE, PRICES, TICKERS, CANDLES, GAPS, SYMBOLS, FRAMES)
            snapshot = cls(now_us, *top, *(PinnedTable(lake_folder, table.name) for table in below))
            if snapshot._replayed(before) == snapshot._replayed(snapshot.quarantine):
                return snapshot
        raise CryptolakeError("The quarantine is being replayed faster than it can be read", "Audit again later.")

    def replaying(self) -> bool:
        """Whether a replay of the quarantine stands between its writes to silver and its marks."""
        done = self._replayed(self.quarantine)
        return any(self._replayed(table) > done for table in map(self.of, KINDS))

    def of(self, kind: Kind) -> PinnedTable:
        """The table of a kind of row."""
        table: PinnedTable = getattr(self, kind.name)
        return table

    def frames_in_flight(self) -> frozenset[str]:
        """The files of bronze that refine has not consumed yet."""
        return self.frames.files_above(self.trades.mark(f"{TRADES.name}/refine/{self.frames.table_id}"))

    def _replayed(self, table: PinnedTable) -> int:
        return table.mark(f"{table.name}/replay/{self.quarantine.table_id}") or 0

    def in_flight_to_bars(self, source: PinnedTable) -> frozenset[str]:
        """The files of trades or candles that aggregate has not settled yet."""
        return source.files_above(self.trends.mark(f"{SIX_MINUTE_TRENDS.name}/aggregate/{source.table_id}"))

    def bars_in_flight(self, columns: Columns, batch_bytes: int) -> Iterator[Any]:
        """The rows of bars whose windows of five minutes aggregate has not settled yet."""
        mark = self.windows.mark(f"{FIVE_MINUTE_BARS.name}/aggregate/{self.bars.table_id}")
        return self.bars.changes_above(mark, columns, batch_bytes)


def lake_folder_of(settings: Settings) -> Path:
    """The folder that holds the tables."""
    return settings.home.resolve() / "lake"


def no_lake(lake_folder: Path, name: str) -> CryptolakeError:
    """The error of a home without tables."""
    return CryptolakeError(
        f"There is nothing to audit: no table {name} in {lake_folder}",
        "Fill the lake first, e.g. with `cryptolake demo` or `cryptolake run --until-idle`.",
    )


def _batch_rows(metadata: Any, columns: list[str], batch_bytes: int) -> int:
    wanted, size, rows = set(columns), 0, max(1, metadata.num_rows)
    for group in range(metadata.num_row_groups):
        chunks = (metadata.row_group(group).column(i) for i in range(metadata.num_columns))
        size += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted)
    return int(max(256, min(65_536, batch_bytes * rows // max(1, size))))


def _conformed(batch: Any, columns: Columns) -> Any:
    arrays = []
    for name, wanted in columns.items():
        if name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, wanted))
            continue
        column = batch.column(name)
        arrays.append(column if column.type == wanted else pc.cast(column, wanted))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(columns.items()))
