"""Rows of silver.gaps for missing ids: opened when a hole lasts, closed once its ids are in silver.trades."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa

from lakehouse.arrow import contract_schema, in_micros
from lakehouse.conditions import AnyOf
from lakehouse.faults import fault_point
from lakehouse.lake import Lake
from lakehouse.selecting import Rows, select
from silver.high_water import Span
from silver.missing_ids import CLOSED, OPEN, UNRECOVERABLE, Gap, MissingIds, Stretch, stretches_between
from silver.once import run_once
from silver.rows import LostIds
from silver.tables import GAPS, TRADES
from silver.venues.registry import venue_named

MISSING = "trade ids are missing"
LOST = "the venue's history no longer has these ids"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Hole = tuple[str, str, Stretch]  # venue, symbol and what is missing
# Of the ids beside a hole the later one to be received shows it.
HOLES = """
    SELECT venue, symbol, before_id + 1 AS from_id, trade_id - 1 AS to_id,
        greatest(received_at, before_at) AS received_at
    FROM (
        SELECT venue, symbol, trade_id, received_at,
            lag(trade_id) OVER (PARTITION BY venue, symbol ORDER BY trade_id, received_at) AS before_id,
            lag(received_at) OVER (PARTITION BY venue, symbol ORDER BY trade_id, received_at) AS before_at
        FROM {rows} WHERE trade_id IS NOT NULL
    ) AS beside
    WHERE trade_id > before_id + 1
"""
HolesOf = Callable[[Collection[tuple[str, str]]], Iterable[Hole]]


def holes_of_symbols(trades: Rows, symbols: Collection[tuple[str, str]]) -> Iterator[Hole]:
    """Find the ids that are missing between the lowest and the highest of some venues and symbols, and maybe of more.

    Args:
        trades: columns of silver.trades; copies do no harm.
        symbols: venues and symbols, of which there is at least one.
    """
    return holes_of(select(HOLES, trades, _of_symbols(symbols)))


def holes_of(found: pa.Table) -> Iterator[Hole]:
    """Make holes of what HOLES finds."""
    for hole in in_micros(found, "received_at", "received_us").to_pylist():
        yield hole["venue"], hole["symbol"], Stretch(hole["from_id"], hole["to_id"], hole["received_us"])


class IdGaps:
    """Keeps silver.gaps in step with the ids in silver.trades.

    Args:
        lasting_s: a hole that closes within this time, by the times of reception, gets no row.
        closing_interval_s: filled rows are closed at most this often: a MERGE costs more than all else in a live batch.
        monotonic_s: the clock for that.
    """

    def __init__(
        self, lasting_s: float, closing_interval_s: float = 0, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._lasting_us = int(lasting_s * 1_000_000)
        self._closing_interval_s = closing_interval_s
        self._now_s = monotonic_s
        self._closed_s = float("-inf")
        self._ids = MissingIds()

    def restore(self, lake: Lake, stored: Collection[Span]) -> None:
        """Work everything out from the tables, as after a crash.

        Args:
            lake: where they are.
            stored: what silver.trades holds.
        """
        self._ids = MissingIds()
        for gap in _not_closed(lake):
            self._ids.restore(gap)
        self._note(stored, partial(_stored_holes, lake))

    def lacks(self, venue: str, symbol: str, trade_id: int) -> bool:
        """Say whether silver.trades is known not to hold an id of a venue whose ids rise by one."""
        return _rises_by_one(venue) and self._ids.lacks(venue, symbol, trade_id)

    def take(self, spans: Collection[Span], holes: HolesOf, lost: Iterable[tuple[str, LostIds]]) -> None:
        """Take a batch into account.

        Args:
            spans: what it holds of each symbol.
            holes: finds what is missing within it of the venues and symbols that it is given.
            lost: what venues no longer have.
        """
        self._note(spans, holes)
        for venue, ids in lost:
            self._ids.lose(venue, ids.symbol, (ids.from_id, ids.to_id), LOST)

    def write_found(self, lake: Lake, now_us: int) -> None:
        """Write the rows of holes that last at a time (UTC, us), and of ids that were lost since the last time."""
        self._ids.open(now_us, self._lasting_us, MISSING)
        found = self._ids.unstored()
        if not found:
            return
        written_us = time.time_ns() // 1000
        # A key that the table holds has its time already.
        known = [gap for gap in found if gap.detected_us]
        for gap in found:
            gap.detected_us = gap.detected_us or written_us
        rows = _rows(found, None)
        if known:
            with run_once(lake):
                lake.upsert(GAPS, rows)
        else:
            lake.append_rows(GAPS, rows)
        for gap in found:
            gap.stored = True
        fault_point("after_found_gaps_commit")

    def write_filled_if_due(self, lake: Lake) -> None:
        """Close the rows whose ids are all in silver.trades, if it is time; a crash before that loses nothing."""
        if self._now_s() - self._closed_s >= self._closing_interval_s:
            self.write_filled(lake)

    def write_filled(self, lake: Lake) -> None:
        """Close the rows whose ids are all in silver.trades; call it when those of `take` have been written there."""
        filled = self._ids.filled()
        if not filled:
            return
        for gap in filled:
            gap.status = CLOSED
        with run_once(lake):
            lake.upsert(GAPS, _rows(filled, time.time_ns() // 1000))
        self._ids.forget(filled)
        self._closed_s = self._now_s()
        fault_point("after_closed_gaps_commit")

    def _note(self, spans: Collection[Span], holes_of: HolesOf) -> None:
        numbered = [span for span in spans if span.numbered_by == "trade_id" and _rises_by_one(span.venue)]
        torn = {(span.venue, span.scope) for span in numbered if span.numbers <= span.highest - span.lowest}
        holes: dict[tuple[str, str], list[Stretch]] = {}
        if torn:
            for venue, symbol, hole in holes_of(torn):
                holes.setdefault((venue, symbol), []).append(hole)
        for span in numbered:
            key = span.venue, span.scope
            whole = Stretch(span.lowest, span.highest, span.received_us)
            self._ids.add(*key, stretches_between(whole, holes.get(key, ())))


def _not_closed(lake: Lake) -> list[Gap]:
    rows = lake.rows_where(GAPS, [[("from_id", ">=", 0), ("status", "in", [OPEN, UNRECOVERABLE])]])
    fields = ["venue", "symbol", "from_id", "to_id", "status", "reason", "detected_us"]
    told = in_micros(rows, "detected_at", "detected_us").select(fields)
    return [Gap(**row, missing=[(row["from_id"], row["to_id"])], stored=True) for row in told.to_pylist()]


def _stored_holes(lake: Lake, symbols: Collection[tuple[str, str]]) -> Iterator[Hole]:
    return holes_of(lake.select(TRADES, HOLES, _of_symbols(symbols)))


def _of_symbols(symbols: Collection[tuple[str, str]]) -> AnyOf:
    venues, names = (sorted(set(parts)) for parts in zip(*symbols, strict=True))
    return [[("venue", "in", venues), ("symbol", "in", names)]]


def _rises_by_one(header: str) -> bool:
    venue = venue_named(header)
    return venue is not None and venue.ids_rise_by_one


def _rows(gaps: Collection[Gap], closed_us: int | None) -> pa.Table:
    rows = [
        {
            "venue": gap.venue,
            "symbol": gap.symbol,
            "from_id": gap.from_id,
            "to_id": gap.to_id,
            "detected_at": _EPOCH + timedelta(microseconds=gap.detected_us),
            "status": gap.status,
            "closed_at": None if closed_us is None else _EPOCH + timedelta(microseconds=closed_us),
            "reason": gap.reason,
        }
        for gap in gaps
    ]
    return pa.Table.from_pylist(rows, contract_schema(GAPS))
