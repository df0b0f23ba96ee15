"""One reading of every table of silver, its rows put aside for the checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit import id_gaps
from cryptolake.audit.bars import BAR_COLUMNS, BarsCheck
from cryptolake.audit.kinds import CANDLES, GAPS, KINDS, PLACE_COLUMNS, PRICES, SYMBOLS, TICKERS, TIME, TRADES, Kind
from cryptolake.audit.minutes import Minutes
from cryptolake.audit.naming import NamingCheck
from cryptolake.audit.places import Places
from cryptolake.audit.snapshot import Columns, PinnedTable, Snapshot
from cryptolake.audit.spill import Spill
from cryptolake.audit.symbols import Names
from cryptolake.audit.trends import TREND_COLUMNS, TrendsCheck
from cryptolake.audit.windows import WindowsCheck
from lakehouse.settings import AuditSettings

_NAMES = {"venue": pa.string(), "symbol": pa.string()}
_MINUTE = {**_NAMES, "minute": TIME}
_BESIDE: Mapping[str, Columns] = {
    TRADES.table: {"base": pa.string(), "quote": pa.string()},
    CANDLES.table: {},
    GAPS.table: {"from_id": pa.int64(), **id_gaps.COLUMNS},
    TICKERS.table: {"base": pa.string(), "quote": pa.string()},
    PRICES.table: {"base": pa.string(), "quote": pa.string()},
    SYMBOLS.table: {"source": pa.string()},
}


class SilverPass:
    """Reads silver once.

    Args:
        snapshot: the pinned tables.
        places: numbers of places.
        names: what symbols may stand for.
        folder: for rows put aside.
        parts: into how many parts.
        limits: how much is read at once, how many failures are shown.
        gap_open_s: after which a hole must have its row.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        places: Places,
        names: Names,
        folder: Path,
        parts: int,
        limits: AuditSettings,
        gap_open_s: float,
    ) -> None:
        batch_bytes, examples = limits.batch_bytes, limits.examples
        minutes = Minutes()
        self.bars = BarsCheck(minutes, folder, parts, examples)
        self.trends = TrendsCheck(minutes, folder, parts, examples)
        self.windows = WindowsCheck(minutes, folder, parts, examples)
        self.naming = NamingCheck(names, examples)
        self.id_gaps = id_gaps.IdGapsCheck(names, int((gap_open_s + limits.gap_slack_s) * 1_000_000), examples)
        self.spills: dict[Kind, Spill] = {}
        self.gaps: list[tuple[str, str, int, int]] = []
        self._places = places
        self._batch_bytes = batch_bytes
        self._folder = folder
        self._parts = parts
        for kind in KINDS:
            table = snapshot.of(kind)
            self._read(kind, table, snapshot.in_flight_to_bars(table) if kind in (TRADES, CANDLES) else frozenset())
        for _, batch in snapshot.bars.batches({**_MINUTE, **BAR_COLUMNS}, batch_bytes):
            self.bars.add_bars(batch)
            self.trends.add_bars(batch)
            self.windows.add_bars(batch)
        for _, batch in snapshot.trends.batches({**_MINUTE, **TREND_COLUMNS}, batch_bytes):
            self.trends.add_trends(batch)
        for batch in snapshot.bars_in_flight(_MINUTE, batch_bytes):
            self.windows.add_in_flight(batch)
        for _, batch in snapshot.windows.batches({**_NAMES, "window_start": TIME, **BAR_COLUMNS}, batch_bytes):
            self.windows.add_windows(batch)

    def _read(self, kind: Kind, table: PinnedTable, in_flight: frozenset[str]) -> None:
        spill = self.spills[kind] = Spill(self._folder, f"silver.{kind.table}", kind.stored_schema, self._parts)
        columns = {**PLACE_COLUMNS, "symbol": pa.string(), **_BESIDE[kind.table], **kind.columns}
        for waits, batch in table.batches(columns, self._batch_bytes, in_flight):
            if kind is GAPS:
                # A gap of ids is refine's own finding; no frame says it.
                self.id_gaps.add_gaps(batch.filter(batch.column("from_id").is_valid()))
                batch = batch.filter(batch.column("from_id").is_null())
                self._keep_gaps(batch)
            else:
                self.naming.take(batch)
            if kind is SYMBOLS:  # what conf says is in no frame
                batch = batch.filter(pc.not_equal(batch.column("source"), "conf"))
            if kind is TRADES:
                self.bars.add_trades(batch, waits)
                self.id_gaps.add_trades(batch)
            elif kind is CANDLES:
                self.bars.add_candles(batch, waits)
            place = pa.array(self._places.rows(batch))
            arrays = [place, *(batch.column(name) for name in kind.stored_schema.names[1:])]
            spill.write(pa.RecordBatch.from_arrays(arrays, schema=kind.stored_schema), kind.spread(batch))

    def _keep_gaps(self, batch: Any) -> None:
        times = (batch.column(name).cast(pa.int64()).to_pylist() for name in ("from_time", "to_time"))
        names = (batch.column(name).to_pylist() for name in ("venue", "symbol"))
        rows = zip(*names, *times, strict=True)
        self.gaps += [row for row in rows if None not in row]
