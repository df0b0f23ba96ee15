"""The step that turns bronze frames into the exact rows of silver, and quarantines what cannot be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from bronze.new_frames import Frames
from bronze.tables import FRAMES
from lakehouse.arrow import frame_of
from lakehouse.faults import fault_point
from lakehouse.lake import Lake, Txn
from lakehouse.table import Table
from silver.few_batch import FewBatch
from silver.few_canonical import canonical_trades_of_few
from silver.high_water import HighWater
from silver.id_gaps import IdGaps
from silver.kinds import BESIDE_TRADES, CANDLE, SYMBOL, TRADE
from silver.spark_batch import SparkBatch
from silver.symbol_table import PLACE, listed_symbols
from silver.symbols import Symbols
from silver.tables import QUARANTINE, SYMBOLS, TRADES

_LISTING_CHANNEL = "symbols"
Batch = SparkBatch | FewBatch


@dataclass
class Refined:
    """What one batch of frames has become; what it was made of may be cached until `release`.

    Args:
        trades: the rows appended to silver.trades, with its columns; None when there were none.
        trades_version: the version they were appended in; None when nothing was.
        candles: the rows appended to silver.candles; None when there were none.
        candles_version: the version they were appended in; None when nothing was.
        counts: rows by what became of them: frames, control, copies, quarantined, and one count for each table.
    """

    trades: Frames | None
    trades_version: int | None
    candles: Frames | None
    candles_version: int | None
    counts: Mapping[str, int]
    release: Callable[[], None]


class Refine:
    """Refine frames of bronze into silver; the mark that counts is that of silver.trades, the last write.

    Args:
        lake: where bronze and silver are; its session is looked at in every batch anew.
        monotonic_s: the clock for the interval at which filled gaps are closed.
    """

    name = "refine"
    reads: tuple[Table, ...] = (FRAMES,)
    writes: tuple[Table, ...] = (*(kind.table for kind in BESIDE_TRADES), QUARANTINE, TRADES)

    def __init__(self, lake: Lake, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._lake = lake
        self._high_water = HighWater()
        limits = lake.settings.lake
        self._id_gaps = IdGaps(limits.gap_open_s, limits.correction_interval_s, monotonic_s)
        self._symbols: Symbols | None = None

    def run(self, frames: Frames, version: int) -> Refined:
        """Refine one batch; by Spark where it is large, else in memory, to the same rows.

        Args:
            frames: rows of bronze.frames, all that were landed since the last batch and up to `version`.
            version: the newest version of bronze.frames among them; every write is done once for it.
        """
        self._refresh()
        batch = self._batch(frames if isinstance(frames, pa.Table) else self._in_memory(frames), version)
        try:
            return self._write(batch, version)
        except BaseException:
            # What is known of ids is ahead of the table now.
            self.forget()
            batch.release()
            raise

    def drain(self) -> int:
        """Refine what bronze holds beyond the mark, in groups of bounded size; return how many versions that was."""
        current = self._lake.version(FRAMES)
        first = low = self._mark(TRADES)
        if not self._lake.unchanged(FRAMES, low, current):
            for high in self._group_ends(low, current):
                few = self._lake.few_changes(FRAMES, low, high)
                self.run(self._lake.read_changes(FRAMES, low, high) if few is None else few, high).release()
                low = high
        self._refresh()
        self._id_gaps.write_filled(self._lake)
        return max(low - first, 0)

    def forget(self) -> None:
        """Read anew what the tables say of ids and names: something else has written to them."""
        self._high_water = HighWater()
        self._symbols = None

    def on_timer(self, now_s: float) -> None:
        """Give rows to holes that have lasted by now (UTC, seconds), and close filled ones: silence calls nobody."""
        self._refresh()
        self._id_gaps.write_found(self._lake, int(now_s * 1_000_000))
        self._id_gaps.write_filled_if_due(self._lake)

    def close_gaps(self) -> None:
        """Close the rows of all gaps that are filled, at the end of a run."""
        self._id_gaps.write_filled(self._lake)

    def advance_mark(self) -> None:
        """Mark all of bronze as refined, once it is: a batch that brought no trade has left no mark."""
        self._lake.advance(TRADES, self._app_id(TRADES), self._lake.version(FRAMES))

    def _in_memory(self, frames: DataFrame) -> Frames:
        """Take frames into memory if they are few."""
        size = frames.agg(f.count("*"), f.coalesce(f.sum(f.octet_length("payload")), f.lit(0))).first()
        if size is None or not self._lake.settings.lake.are_few(*size):
            return frames
        return frames.select(*FRAMES.columns).toArrow()

    def _batch(self, frames: Frames, version: int) -> Batch:
        symbols = self._names(frames, version)
        if isinstance(frames, pa.Table):
            read = canonical_trades_of_few(frames, symbols)
            if read.left.num_rows <= self._lake.settings.lake.strict_frames:
                return FewBatch(self._lake, self._high_water, self._id_gaps.lacks, frames, read, symbols)
            frames = frame_of(self._lake.spark, frames)
        return SparkBatch(self._lake, self._high_water, self._id_gaps.lacks, frames, symbols)

    def _write(self, batch: Batch, version: int) -> Refined:
        beside = {kind: batch.new_rows(kind) for kind in BESIDE_TRADES}
        new_trades = batch.new_trades()
        quarantine = batch.quarantine()
        counts = batch.counts
        written = {
            kind: self._append(kind.table, rows, counts[kind.plural], version, kind.fault)
            for kind, rows in beside.items()
        }
        if beside[SYMBOL] is not None:
            self._symbols = None
        self._id_gaps.take(batch.spans, batch.holes, batch.lost_ids())
        self._id_gaps.write_found(self._lake, batch.newest_us)
        self._append(QUARANTINE, quarantine, counts["quarantined"], version, "after_quarantine_commit")
        trades_version = self._append(TRADES, new_trades, counts["trades"], version, TRADE.fault)
        if trades_version is not None:
            self._high_water.advance(batch.spans, trades_version)
        self._id_gaps.write_filled_if_due(self._lake)
        return Refined(new_trades, trades_version, beside[CANDLE], written[CANDLE], counts, batch.release)

    def _append(self, table: Table, rows: Frames | None, count: int, version: int, fault: str) -> int | None:
        if rows is None:
            return None
        txn = Txn(self._app_id(table), version)
        if isinstance(rows, pa.Table):
            written = self._lake.append_rows(table, rows, txn)
        else:
            written = self._lake.append(table, rows, txn, count=count)
        fault_point(fault)
        return written

    def _names(self, frames: Frames, version: int) -> Symbols:
        """What names stand for: what a batch says of them counts from the next one on, also when it is done again."""
        if self._symbols is None and self._mark(SYMBOLS) >= version:
            return listed_symbols(self._lake, but=_listings(frames))
        self._symbols = self._symbols or listed_symbols(self._lake)
        return self._symbols

    def _refresh(self) -> None:
        stored = self._high_water.refresh(self._lake)
        if stored is not None:
            self._id_gaps.restore(self._lake, stored)

    def _app_id(self, target: Table) -> str:
        return self._lake.app_id(target, self.name, FRAMES)

    def _mark(self, target: Table) -> int:
        return self._lake.mark(target, self._app_id(target)) or 0

    def _group_ends(self, mark: int, current: int) -> Iterator[int]:
        """Versions at which a group ends.

        Up to the other targets' marks the groups must be those of the run that a crash cut off, or rows that were to be
        judged together would not be, and what was skipped by txn would not be what was written.
        """
        low = mark
        for high in sorted({self._mark(table) for table in self.writes if table is not TRADES}):
            if high > low:
                yield high
                low = high
        if low >= current:
            return
        rows_in = self._lake.rows_written(FRAMES, low, current)
        waiting = 0
        for version in range(low + 1, current + 1):
            waiting += rows_in.get(version, 0)
            if waiting >= self._lake.settings.lake.max_offsets_per_trigger or version == current:
                yield version
                waiting = 0


def _listings(frames: Frames) -> set[tuple[Any, ...]]:
    """The places of the frames that say what names stand for."""
    if isinstance(frames, pa.Table):
        said = frames.filter(pc.equal(frames["channel"], _LISTING_CHANNEL))
        return set(zip(*(said[name].to_pylist() for name in PLACE), strict=True))
    return {tuple(row) for row in frames.where(f.col("channel") == _LISTING_CHANNEL).select(*PLACE).collect()}
