"""One reading of the tables of silver, their rows put aside for the checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit import gap_rows, id_gaps
from cryptolake.audit.bars import BAR_COLUMNS, BarsCheck
from cryptolake.audit.heads import ids_before
from cryptolake.audit.id_ranges import Range
from cryptolake.audit.kinds import CANDLES, GAPS, KINDS, PLACE_COLUMNS, PRICES, SYMBOLS, TICKERS, TIME, TRADES, Kind
from cryptolake.audit.minutes import Minutes
from cryptolake.audit.naming import NamingCheck
from cryptolake.audit.parquet_rows import Columns
from cryptolake.audit.pinned_table import PinnedTable
from cryptolake.audit.places import Bools, Floor, Places
from cryptolake.audit.reach import Reach
from cryptolake.audit.result import CheckResult
from cryptolake.audit.snapshot import Snapshot
from cryptolake.audit.spans import Spans
from cryptolake.audit.spill import Spill
from cryptolake.audit.symbols import Names
from cryptolake.audit.trends import TREND_COLUMNS, TrendsCheck
from cryptolake.audit.windows import WindowsCheck
from lakehouse.settings import Settings

_NAMES = {"venue": pa.string(), "symbol": pa.string()}
_MINUTE = {**_NAMES, "minute": TIME}
_BESIDE: Mapping[str, Columns] = {
    TRADES.table: {"base": pa.string(), "quote": pa.string()},
    CANDLES.table: {},
    GAPS.table: gap_rows.COLUMNS,
    TICKERS.table: {"base": pa.string(), "quote": pa.string()},
    PRICES.table: {"base": pa.string(), "quote": pa.string()},
    SYMBOLS.table: {"source": pa.string()},
}
_IDS = {"symbol": pa.string(), "trade_id": pa.int64(), "received_at": TIME}


class SilverPass:
    """Reads silver once.

    Args:
        snapshot: the pinned tables.
        reach: which rows are read; None reads all.
        places: numbers of places.
        floor: from which offset on bronze was read.
        names: what symbols may stand for.
        folder: for rows put aside.
        parts: into how many parts.
        settings: how much is read at once, how many failures are shown, when a hole must have its row.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        reach: Reach | None,
        places: Places,
        floor: Floor,
        names: Names,
        folder: Path,
        parts: int,
        settings: Settings,
    ) -> None:
        limits = settings.audit
        examples, self._batch_bytes = limits.examples, limits.batch_bytes
        minutes = Minutes()
        self.bars = BarsCheck(minutes, folder, parts, examples)
        self.trends = TrendsCheck(minutes, folder, parts, examples)
        self.windows = WindowsCheck(minutes, folder, parts, examples)
        self.naming = NamingCheck(names, examples)
        lasting_us = int((settings.lake.gap_open_s + limits.gap_slack_s) * 1_000_000)
        window = id_gaps.Window(reach.since.us, self._ids_before, self._trades_of) if reach else None
        self.id_gaps = id_gaps.IdGapsCheck(names, lasting_us, examples, window)
        horizon_us, most_ids = int(limits.gap_horizon_s * 1_000_000), settings.backfill.most_ids
        since_us = reach.since.us if reach else 0
        self._gap_rows = gap_rows.GapRowsCheck(snapshot.pinned_us, horizon_us, most_ids, since_us, examples)
        self.spills = {kind: Spill(folder, f"silver.{kind.table}", kind.stored_schema, parts) for kind in KINDS}
        self.gaps: list[tuple[str, str, int, int]] = []
        self._snapshot = snapshot
        self._reach = reach
        self._places = places
        self._floor = floor
        self._most_before = limits.rows_per_part  # and as many as came
        for kind in KINDS:
            self._read(kind, snapshot.of(kind))
        self._read_bars()

    def look_up(self, kind: Kind, rows: Any) -> Any:
        """Read what silver holds, at whatever time, of the keys of some rows of bronze.

        Args:
            kind: of the rows; its keys hold no time.
            rows: columns of `Kind.expected_schema`; at least one.

        Returns:
            rows with the columns of `Kind.stored_schema`.
        """
        where = [[(name, "in", pc.unique(rows[name]).to_pylist()) for name in kind.key]]
        columns = {**PLACE_COLUMNS, "symbol": pa.string(), **kind.columns}
        found = [batch for _, batch in self._snapshot.of(kind).batches(columns, self._batch_bytes, where=where)]
        return pa.Table.from_batches([self._stored(kind, batch) for batch in found], kind.stored_schema)

    def gap_results(self, lost: list[id_gaps.Lost]) -> list[CheckResult]:
        """Close the checks of silver.gaps.

        Args:
            lost: what markers in bronze say.
        """
        return [*self.id_gaps.results(lost, self._snapshot.pinned_us), self._gap_rows.result()]

    def trend_results(self) -> list[CheckResult]:
        """Close the checks of bars and trends."""
        within = self._reach.trends if self._reach else None
        bars = self.bars.results()
        return [*bars, *self.windows.results(), *self.trends.results(self.bars.in_flight(), within)]

    def _read(self, kind: Kind, table: PinnedTable) -> None:
        columns = {**PLACE_COLUMNS, "symbol": pa.string(), **_BESIDE[kind.table], **kind.columns}
        in_flight = self._snapshot.in_flight_to_bars(table) if kind in (TRADES, CANDLES) else frozenset()
        where = self._reach.of(kind) if self._reach else None
        for waits, batch in table.batches(columns, self._batch_bytes, in_flight, where):
            if kind is GAPS:
                self._gap_rows.add(batch)
                # A gap of ids is refine's own finding; no frame says it.
                self.id_gaps.add_gaps(batch.filter(batch.column("from_id").is_valid()))
                batch = batch.filter(pc.and_(batch.column("from_id").is_null(), batch.column("topic_id").is_valid()))
                self._keep_gaps(batch)
            else:
                self.naming.take(batch)
            if kind is SYMBOLS:  # what conf says is in no frame
                batch = batch.filter(pc.not_equal(batch.column("source"), "conf"))
            if kind is TRADES:
                self._most_before += batch.num_rows
                self.id_gaps.add_trades(batch, self._came(batch))
                self.bars.add_trades(batch if waits else self._of_minutes(batch, kind.time), waits)
            elif kind is CANDLES:
                self.bars.add_candles(batch if waits else self._of_minutes(batch, kind.time), waits)
            self.spills[kind].write(self._stored(kind, batch), kind.spread(batch))

    def _read_bars(self) -> None:
        snapshot, reach, size = self._snapshot, self._reach, self._batch_bytes
        columns = {**_MINUTE, **BAR_COLUMNS, "revised_at": TIME}
        for _, batch in snapshot.bars.batches(columns, size, where=reach.bars() if reach else None):
            self.bars.add_bars(self._of_minutes(batch, "minute"))
            self.trends.add_bars(batch)
            self.windows.add_bars(_within(batch, "minute", reach.windows) if reach else batch)
        trends = reach.trends.where("minute") if reach else None
        for _, batch in snapshot.trends.batches({**_MINUTE, **TREND_COLUMNS}, size, where=trends):
            self.trends.add_trends(batch)
        for batch in snapshot.bars_in_flight(_MINUTE, size):
            self.windows.add_in_flight(batch)
        windows = reach.windows.where("window_start") if reach else None
        columns = {**_NAMES, "window_start": TIME, **BAR_COLUMNS}
        for _, batch in snapshot.windows.batches(columns, size, where=windows):
            self.windows.add_windows(batch)

    def _stored(self, kind: Kind, batch: Any) -> Any:
        arrays = [pa.array(self._places.rows(batch)), *(batch.column(name) for name in kind.stored_schema.names[1:])]
        return pa.RecordBatch.from_arrays(arrays, schema=kind.stored_schema)

    def _of_minutes(self, batch: Any, time: str) -> Any:
        return _within(batch, time, self._reach.minutes) if self._reach else batch

    def _came(self, batch: Any) -> Bools | None:
        return ~self._floor.below(self._places.rows(batch)) if self._reach else None

    def _ids_before(self, lowest: Mapping[str, int]) -> tuple[Mapping[str, int], int]:
        until_us = self._reach.minutes.pairs[-1][1] if self._reach and self._reach.minutes.pairs else 0
        limits = (self._most_before, self._batch_bytes)
        found, cut = ids_before(self._snapshot.trades, id_gaps.VENUE, lowest, until_us, limits)
        return found, len(lowest.keys() - found.keys()) if cut else 0

    def _trades_of(self, asked: Mapping[str, Range]) -> Iterator[Any]:
        where = [
            [("venue", "=", id_gaps.VENUE), ("symbol", "=", symbol), ("trade_id", ">=", low), ("trade_id", "<=", high)]
            for symbol, (low, high) in asked.items()
        ]
        for _, batch in self._snapshot.trades.batches(_IDS, self._batch_bytes, where=where):
            yield batch

    def _keep_gaps(self, batch: Any) -> None:
        times = (batch.column(name).cast(pa.int64()).to_pylist() for name in ("from_time", "to_time"))
        names = (batch.column(name).to_pylist() for name in ("venue", "symbol"))
        rows = zip(*names, *times, strict=True)
        self.gaps += [row for row in rows if None not in row]


def _within(batch: Any, time: str, spans: Spans) -> Any:
    times = pc.fill_null(batch.column(time).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return batch.filter(pa.array(spans.hold(np.asarray(times, dtype=np.int64))))
