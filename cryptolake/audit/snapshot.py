"""The tables as they were at one moment, newest things first."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bronze.tables import FRAMES
from cryptolake.audit.kinds import KINDS, Kind
from cryptolake.audit.parquet_rows import Columns
from cryptolake.audit.pinned_table import PinnedTable
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings
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

_PIN_ATTEMPTS = 20


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

    def versions(self) -> dict[str, int]:
        """The version of every table, from the bottom up."""
        tables = [getattr(self, field.name) for field in reversed(fields(self)) if field.name != "pinned_us"]
        return {table.name: table.version for table in tables}

    def batch_ids(self, ingested: Collection[dt.datetime]) -> dict[dt.datetime, int]:
        """The stream's numbers of batches, as far as the log of bronze still tells: each was committed once landed.

        Args:
            ingested: when the batches were landed.
        """
        return self.frames.marks_after(ingested, f"{self.frames.name}/land/")

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
