"""Which trade ids of each symbol are in our hands, worked out from the records of the spool, one after another."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bronze.breaks import Breaks
from bronze.record import NO_ID, Record


@dataclass(frozen=True, slots=True)
class Hole:
    """Ids of a symbol that no record holds, though a later id is held.

    Args:
        symbol: as the venue writes it.
        first: the first missing id.
        last: the last missing id.
        found_at: monotonic seconds; minus infinity for a hole of an earlier run.
    """

    symbol: str
    first: int
    last: int
    found_at: float


@dataclass(slots=True)
class _Ids:
    high: int
    holes: list[Hole] = field(default_factory=list)
    seen_at: float = float("-inf")


class Coverage:
    """The ids held of each symbol, the breaks where they do not rise by one, the newest time of venues without any.

    It is a pure function of the records added, in their order: what a crash forgets is added again from the spool.
    """

    def __init__(self) -> None:
        self._ids: dict[str, _Ids] = {}
        self._event_time_us: dict[str, int] = {}
        self.breaks = Breaks()

    def add(self, record: Record) -> None:
        """Take a record into account."""
        if record.first_id != NO_ID and record.event_time_us:
            self.breaks.add(record)
        elif record.first_id != NO_ID:
            self._add_ids(record.symbol, record.first_id, record.last_id)
        elif record.event_time_us:
            self._event_time_us[record.venue] = record.event_time_us

    def _add_ids(self, symbol: str, first: int, last: int) -> None:
        now = time.monotonic()
        ids = self._ids.get(symbol)
        if ids is None:
            self._ids[symbol] = _Ids(last, seen_at=now)
            return
        ids.seen_at = now
        if first > ids.high + 1:
            ids.holes.append(Hole(symbol, ids.high + 1, first - 1, now))
        elif first <= ids.high and ids.holes:
            ids.holes = [rest for hole in ids.holes for rest in _without(hole, first, last)]
        ids.high = max(ids.high, last)

    def high(self, symbol: str) -> int | None:
        """The highest id held."""
        ids = self._ids.get(symbol)
        return ids.high if ids else None

    def holes(self, found_before: float) -> list[Hole]:
        """The holes found before a monotonic time."""
        return [hole for ids in self._ids.values() for hole in ids.holes if hole.found_at <= found_before]

    def first_holes(self, found_before: float, page: int) -> list[Hole]:
        """Of each symbol the lowest hole found before a time, joined with those that end within a page of its start."""
        joined = []
        for ids in self._ids.values():
            old = sorted((hole for hole in ids.holes if hole.found_at <= found_before), key=lambda hole: hole.first)
            if old:
                last = max([hole.last for hole in old if hole.last < old[0].first + page], default=old[0].last)
                joined.append(replace(old[0], last=max(last, old[0].last)))
        return joined

    def quiet_since(self, since: float) -> list[tuple[str, int]]:
        """The known symbols of which nothing was added after a monotonic time, with the highest id held."""
        return [(symbol, ids.high) for symbol, ids in self._ids.items() if ids.seen_at < since]

    def event_time_us(self, venue: str) -> int | None:
        """The venue's time of its newest frame; None for a venue never heard of, or with ids."""
        return self._event_time_us.get(venue)

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "symbols": {s: [ids.high, [[h.first, h.last] for h in ids.holes]] for s, ids in self._ids.items()},
            "event_time_us": dict(self._event_time_us),
            "breaks": self.breaks.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Coverage:
        """Take up where `state` was written.

        Raises:
            LookupError, TypeError, ValueError: it is no such state.
        """
        coverage = cls()
        for symbol, (high, holes) in state["symbols"].items():
            old = [Hole(symbol, int(first), int(last), float("-inf")) for first, last in holes]
            coverage._ids[symbol] = _Ids(int(high), old)
        coverage._event_time_us = {venue: int(us) for venue, us in state["event_time_us"].items()}
        coverage.breaks = Breaks.restore(state.get("breaks", ()))  # not there before there were such venues
        return coverage


def _without(hole: Hole, first: int, last: int) -> list[Hole]:
    if last < hole.first or first > hole.last:
        return [hole]
    rest = []
    if first > hole.first:
        rest.append(Hole(hole.symbol, hole.first, first - 1, hole.found_at))
    if last < hole.last:
        rest.append(Hole(hole.symbol, last + 1, hole.last, hole.found_at))
    return rest
