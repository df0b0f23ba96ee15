"""Every trade there has been, past and live as one run of ids: what the REST answers are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from simulator.catalogue import RANK, Symbol, first_id
from simulator.journal import Records
from simulator.past import Past
from simulator.state import SymbolState
from simulator.trades import Bools, Ints, Trades, joined

_FIRST_CAPACITY = 1_024
Column = TypeVar("Column", Ints, Bools)


class LiveTrades:
    """The live Binance trades of this home, in memory: 25 bytes a trade, by symbol."""

    def __init__(self, records: Records) -> None:
        self._columns: dict[int, _Columns] = {}
        self._pending: list[Records] = [records] if len(records) else []

    def append(self, records: Records) -> None:
        """Add a group; within a symbol ids go on where the last group ended."""
        if len(records):
            self._pending.append(records)

    def of(self, symbol: Symbol, first_live_id: int) -> Trades:
        """Give all live trades of a symbol; `first_live_id` is the id of its first one."""
        self._sort_in()
        columns = self._columns.setdefault(RANK[symbol.name], _Columns())
        return columns.trades(first_live_id)

    def _sort_in(self) -> None:
        if not self._pending:
            return
        records = np.concatenate(self._pending)
        self._pending.clear()
        ordered = records[np.argsort(records["symbol"], kind="stable")]
        ranks, starts = np.unique(ordered["symbol"], return_index=True)
        for rank, rows in zip(ranks.tolist(), np.split(ordered, starts[1:]), strict=True):
            self._columns.setdefault(rank, _Columns()).append(rows)


class _Columns:
    """Columns that grow by doubling, so that adding is cheap and reading copies nothing."""

    def __init__(self) -> None:
        self._count = 0
        self._ints: dict[str, Ints] = {
            name: np.empty(_FIRST_CAPACITY, dtype=np.int64) for name in ("time_us", "ticks", "lots")
        }
        self._buy: Bools = np.empty(_FIRST_CAPACITY, dtype=np.bool_)

    def append(self, rows: Records) -> None:
        end = self._count + len(rows)
        capacity = len(self._buy)
        if end > capacity:
            wanted = max(end, 2 * capacity)
            self._ints = {name: _grown(column, wanted) for name, column in self._ints.items()}
            self._buy = _grown(self._buy, wanted)
        for name, column in self._ints.items():
            column[self._count : end] = rows[name]
        self._buy[self._count : end] = rows["buy"]
        self._count = end

    def trades(self, first_live_id: int) -> Trades:
        n = self._count
        return Trades(
            first_live_id, self._ints["time_us"][:n], self._ints["ticks"][:n], self._ints["lots"][:n], self._buy[:n]
        )


def _grown(column: Column, capacity: int) -> Column:
    grown = np.empty(capacity, dtype=column.dtype)
    grown[: len(column)] = column
    return grown


class History:
    """Reads the trades of a symbol across the moment it went live.

    Args:
        past: made from the seed.
        live: from this home's ledger.
        states: symbols that are live, by name.
        now_us: the market's clock; the past ends there for a symbol that is not live.
        horizon: newest trades that `from_id` reaches; 0 is all.
    """

    def __init__(
        self,
        past: Past,
        live: LiveTrades,
        states: Mapping[str, SymbolState],
        now_us: Callable[[], int],
        horizon: int,
    ) -> None:
        self._past = past
        self._live = live
        self._states = states
        self._now_us = now_us
        self._horizon = horizon

    @property
    def epoch_us(self) -> int:
        """Time before which there is nothing, UTC microseconds."""
        return self._past.epoch_us

    def end_id(self, symbol: Symbol) -> int:
        """Give the id that the next trade will have."""
        state = self._states.get(symbol.name)
        if state is None:
            return self._past.next_id(symbol, self._now_us())
        return state.first_live_id + len(self._live.of(symbol, state.first_live_id))

    def between(self, symbol: Symbol, start_us: int, end_us: int) -> Trades:
        """Give the trades of [start_us, end_us) that have happened."""
        state = self._states.get(symbol.name)
        if state is None:
            end = min(end_us, self._now_us())
            return self._past.between(symbol, min(start_us, end), end)
        live = self._live.of(symbol, state.first_live_id)
        rows = np.searchsorted(live.time_us, [start_us, end_us])
        before = min(end_us, state.live_since_us)
        old = self._past.between(symbol, min(start_us, before), before)
        return joined((old, live[int(rows[0]) : int(rows[1])]), state.first_live_id)

    def next_id(self, symbol: Symbol, time_us: int) -> int:
        """Give the id of the first trade at or after a time, or the id the next trade will have."""
        state = self._states.get(symbol.name)
        if state is None:
            return self._past.next_id(symbol, min(time_us, self._now_us()))
        if time_us <= state.live_since_us:
            return self._past.next_id(symbol, time_us)
        live = self._live.of(symbol, state.first_live_id)
        return state.first_live_id + int(np.searchsorted(live.time_us, time_us))

    def by_id(self, symbol: Symbol, start: int, end: int) -> Trades:
        """Give the trades with the ids [start, end) that there are."""
        return self._by_id(symbol, max(start, first_id(symbol)), min(end, self.end_id(symbol)))

    def from_id(self, symbol: Symbol, start: int, limit: int) -> Trades:
        """Give up to `limit` trades from an id on, or from the horizon when that is later."""
        oldest = self.end_id(symbol) - self._horizon if self._horizon else first_id(symbol)
        begin = max(start, oldest, first_id(symbol))
        return self._by_id(symbol, begin, min(begin + limit, self.end_id(symbol)))

    def newest(self, symbol: Symbol, limit: int) -> Trades:
        """Give the last `limit` trades."""
        end = self.end_id(symbol)
        return self._by_id(symbol, max(end - limit, first_id(symbol)), end)

    def _by_id(self, symbol: Symbol, start: int, end: int) -> Trades:
        state = self._states.get(symbol.name)
        first_live = state.first_live_id if state else end
        old = self._past.by_id(symbol, start, min(end, first_live))
        if state is None or end <= first_live:
            return old
        live = self._live.of(symbol, first_live)
        return joined((old, live[max(start - first_live, 0) : end - first_live]), start)
