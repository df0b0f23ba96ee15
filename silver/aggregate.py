"""The step from trades and candles to one-minute bars, six-minute trends and five-minute bars."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pyarrow as pa

from lakehouse.lake import Lake, Txn
from lakehouse.selecting import Rows, select
from lakehouse.table import Table
from silver.closing import BarKey, Closing
from silver.settle import settle
from silver.tables import CANDLES, FIVE_MINUTE_BARS, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS, TRADES
from silver.touched import MINUTES, minutes_of, touched, touched_query
from silver.windows import Windows

_SECOND_US = 1_000_000
_MARKED = SIX_MINUTE_TRENDS  # the last table that this step writes of trades and candles


class Aggregate:
    """Keeps bars and trends equal to what silver.trades and silver.candles say about closed minutes.

    What waits is held in memory and can be lost: the step's marks, on silver.six_minute_trends, never pass a version
    of the tables above of which a minute waits, so `drain` finds it again. Five-minute bars follow the bars in the same
    way, by a mark of their own (`Windows`).

    Args:
        lake: the lake this process owns; its session may be changed between calls.
        monotonic_s: the clock for idle partitions, quiet venues and the interval of corrections.
    """

    name = "aggregate"
    reads: tuple[Table, ...] = (TRADES, CANDLES)
    writes: tuple[Table, ...] = (ONE_MINUTE_BARS, SIX_MINUTE_TRENDS, FIVE_MINUTE_BARS)

    def __init__(self, lake: Lake, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._lake = lake
        self._now_s = monotonic_s
        limits = lake.settings.lake
        self._closing = Closing(limits.lateness_s, limits.correction_interval_s)
        self._app_ids = {table.name: lake.app_id(_MARKED, self.name, table) for table in self.reads}
        self._consumed = {table.name: self._mark(table) for table in self.reads}
        self._windows = Windows(lake)

    def run(self, trades: Rows, version: int) -> list[BarKey]:
        """Take in one batch of trades and settle what closes by it.

        Args:
            trades: columns of silver.trades; all rows of the batch, further copies included.
            version: the version of silver.trades that holds them.

        Returns:
            the minutes whose bar is new or changed.
        """
        changed = self._catch_up(TRADES, version - 1)
        query = touched_query(self._lake.settings.lake.clock_skew_s, version)
        return changed + self._take(select(query, trades), version)

    def run_candles(self, candles: Rows, version: int) -> list[BarKey]:
        """Settle the minutes of one batch of candles at once: a candle is of a closed minute.

        Args:
            candles: columns of silver.candles; all rows of the batch, further copies included.
            version: the version of silver.candles that holds them.

        Returns:
            the minutes whose bar is new or changed.
        """
        changed = self._catch_up(CANDLES, version - 1)
        return changed + self._take_candles(select(MINUTES, candles), version)

    def drain(self) -> int:
        """Take in what the tables above hold beyond this step's marks; return how many versions that was."""
        before = sum(self._consumed.values())
        self._windows.drain(self._now_s())
        for table in self.reads:
            self._catch_up(table, self._lake.version(table))
        self._windows.settle_due(self._now_s())
        return sum(self._consumed.values()) - before

    def on_timer(self, now: float, *, backlog: bool) -> list[BarKey]:
        """Settle minutes of venues that have gone quiet, and corrections whose time has come.

        Args:
            now: the wall clock, in seconds since 1970 UTC.
            backlog: records wait in Kafka, so silence of a venue means nothing.

        Returns:
            the minutes whose bar is new or changed.
        """
        now_s = self._now_s()
        if backlog:
            changed = self._settle(self._closing.due(now_s))
            self._windows.settle_due(now_s)
            return changed
        changed = self._settle(self._closing.due_quiet(now_s, _us(now)))
        self._windows.settle_quiet(now_s, _us(now))
        if not self._closing.waiting():
            self._advance_marks()
        return changed

    def close_all(self) -> list[BarKey]:
        """Settle every minute that waits, whatever its clock says, so that the tables are complete.

        Returns:
            the minutes whose bar is new or changed.
        """
        changed = self._settle(self._closing.waiting())
        self._windows.settle_all(self._now_s())
        self._advance_marks()
        return changed

    def _catch_up(self, table: Table, version: int) -> list[BarKey]:
        changed: list[BarKey] = []
        while self._consumed[table.name] < version:
            low = self._consumed[table.name]
            if self._lake.unchanged(table, low, version):
                self._consumed[table.name] = version
                break
            high = min(version, low + self._lake.settings.lake.drain_versions)
            if table is TRADES:
                query = touched_query(self._lake.settings.lake.clock_skew_s, None)
                changed += self._take(self._lake.select_changes(TRADES, query, low, high), high)
            else:
                changed += self._take_candles(self._lake.select_changes(CANDLES, MINUTES, low, high), high)
        return changed

    def _take(self, found: pa.Table, version: int) -> list[BarKey]:
        keys, marks_us = touched(found)
        now_s = self._now_s()
        self._closing.observe(keys, marks_us, now_s)
        self._consumed[TRADES.name] = max(version, self._consumed[TRADES.name])
        changed = self._settle(self._closing.due(now_s))
        self._windows.hear(marks_us, now_s)
        self._windows.settle_due(now_s)
        return changed

    def _take_candles(self, found: pa.Table, version: int) -> list[BarKey]:
        keys = minutes_of(found)
        changed: list[BarKey] = []
        for chunk in self._chunks(keys):
            is_last = chunk[-1] is keys[-1]
            changed += self._write(chunk, self._txn(CANDLES, version) if is_last else None)
        self._consumed[CANDLES.name] = max(version, self._consumed[CANDLES.name])
        # Candles leave no trends to write the mark with: it goes with the next ones.
        self._lake.carry(_MARKED, self._app_ids[CANDLES.name], version)
        self._windows.settle_candles(keys, self._now_s())
        return changed

    def _settle(self, keys: Sequence[BarKey]) -> list[BarKey]:
        changed: list[BarKey] = []
        for chunk in self._chunks(keys):
            consumed = self._closing.consumed(self._consumed[TRADES.name], without=chunk)
            changed += self._write(chunk, self._txn(TRADES, consumed))
            self._closing.settled(chunk, self._now_s())
        return changed

    def _write(self, keys: Sequence[BarKey], txn: Txn | None) -> list[BarKey]:
        changed = settle(self._lake, keys, txn)
        self._windows.take(changed, self._now_s())
        return changed

    def _chunks(self, keys: Sequence[BarKey]) -> list[Sequence[BarKey]]:
        size = self._lake.settings.lake.settle_keys
        return [keys[i : i + size] for i in range(0, len(keys), size)]

    def _advance_marks(self) -> None:
        self._advance(TRADES, self._closing.consumed(self._consumed[TRADES.name]))
        self._advance(CANDLES, self._consumed[CANDLES.name])

    def _advance(self, table: Table, version: int) -> None:
        self._lake.advance(_MARKED, self._app_ids[table.name], version)

    def _txn(self, table: Table, version: int) -> Txn | None:
        return self._lake.rising(_MARKED, self._app_ids[table.name], version)

    def _mark(self, table: Table) -> int:
        return self._lake.mark(_MARKED, self._app_ids[table.name]) or 0


def _us(seconds: float) -> int:
    return round(seconds * _SECOND_US)
