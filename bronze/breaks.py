"""Where trades may have been missed: between two connections to a venue whose numbers rise, but not by one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bronze.record import Record

_LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True)
class Break:
    """A stretch of one symbol that no one connection has brought as a whole.

    Args:
        venue: the market.
        symbol: as the venue writes it.
        after: number of the last trade held before it.
        after_us: its time, UTC microseconds.
        before: number of the first trade held behind it.
        before_us: its time.
        sessions: the connections that brought the trade before it: one that goes on beyond it closes it.
        found_at: monotonic seconds; minus infinity for one of an earlier run.
    """

    venue: str
    symbol: str
    after: int
    after_us: int
    before: int
    before_us: int
    sessions: frozenset[str]
    found_at: float


@dataclass(slots=True)
class _Newest:
    number: int
    time_us: int
    sessions: set[str]
    breaks: list[Break] = field(default_factory=list)


class Breaks:
    """The newest trade of each symbol, the connections that brought it, and the breaks that nothing has closed yet.

    A connection brings all trades from its first one on. So one that repeats a number held already follows on, and one
    that begins beyond it leaves a break. That is closed by a page of the venue's history that reaches from before its
    start to behind its end, by an older connection that was still there, or by a marker that says it is lost.
    """

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], _Newest] = {}

    def add(self, record: Record) -> None:
        """Take a record into account that holds numbers with a time, or is the marker of a break."""
        key = record.venue, record.symbol
        newest = self._newest.get(key)
        if record.channel == "gap":
            self._close_marked(newest, record)
        elif newest is None:
            self._newest[key] = _Newest(record.last_id, record.event_time_us, {record.session_id})
        elif record.origin == "backfill":
            _add_page(newest, record)
        else:
            _add_frame(newest, record)

    def found(self, before: float) -> list[Break]:
        """The breaks found before a monotonic time."""
        return [each for newest in self._newest.values() for each in newest.breaks if each.found_at <= before]

    def newest(self, venue: str, symbol: str) -> int | None:
        """The highest number held of a symbol; None when nothing of it is."""
        newest = self._newest.get((venue, symbol))
        return newest.number if newest else None

    def state(self) -> list[Any]:
        """What `restore` needs."""
        return [
            [
                *(*key, newest.number, newest.time_us, sorted(newest.sessions)),
                [[b.after, b.after_us, b.before, b.before_us, sorted(b.sessions)] for b in newest.breaks],
            ]
            for key, newest in self._newest.items()
        ]

    @classmethod
    def restore(cls, state: Sequence[Any]) -> Breaks:
        """Take up where `state` was written.

        Raises:
            TypeError, ValueError: it is no such state.
        """
        found = cls()
        for venue, symbol, number, time_us, sessions, breaks in state:
            old = [
                Break(venue, symbol, int(after), int(after_us), int(before), int(before_us), frozenset(of), _LONG_AGO)
                for after, after_us, before, before_us, of in breaks
            ]
            found._newest[venue, symbol] = _Newest(int(number), int(time_us), set(sessions), old)
        return found

    @staticmethod
    def _close_marked(newest: _Newest | None, marker: Record) -> None:
        if newest is not None:
            newest.breaks = [each for each in newest.breaks if each.after != marker.first_id]


def marker_numbers(lost: Break) -> Mapping[str, Any]:
    """What makes a record the marker of a break."""
    return {"symbol": lost.symbol, "first_id": lost.after, "last_id": lost.before, "event_time_us": lost.before_us}


def _add_frame(newest: _Newest, record: Record) -> None:
    session = record.session_id
    newest.breaks = [b for b in newest.breaks if session not in b.sessions or record.last_id < b.before]
    if record.last_id <= newest.number:
        newest.sessions.add(session)
        return
    if session not in newest.sessions and record.first_id > newest.number:
        _open(newest, record)
    newest.number, newest.time_us, newest.sessions = record.last_id, record.event_time_us, {session}


def _add_page(newest: _Newest, page: Record) -> None:
    # A page that begins with the very number may begin in the middle of a match whose fills share it.
    newest.breaks = [b for b in newest.breaks if page.first_id >= b.after or page.last_id < b.before]
    if page.last_id <= newest.number:
        return
    if page.first_id >= newest.number:
        _open(newest, page)
    newest.number, newest.time_us, newest.sessions = page.last_id, page.event_time_us, set()


def _open(newest: _Newest, record: Record) -> None:
    newest.breaks.append(
        Break(
            record.venue, record.symbol, newest.number, newest.time_us, record.first_id, record.event_time_us,
            frozenset(newest.sessions), time.monotonic(),
        )
    )  # fmt: skip
