"""Which ids of each symbol are missing, and what silver.gaps has to say of them: bookkeeping without tables.

All of it can be told from silver.trades and silver.gaps again: what waits in memory may be lost at any time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

Status = Literal["open", "closed", "unrecoverable"]
OPEN: Status = "open"
CLOSED: Status = "closed"
UNRECOVERABLE: Status = "unrecoverable"
Range = tuple[int, int]  # first and last id


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ids of a symbol without a hole.

    Args:
        first: the first id.
        last: the last id.
        received_us: when the first one was received (UTC, us): it shows the hole before it.
    """

    first: int
    last: int
    received_us: int


@dataclass(slots=True)
class Gap:
    """A row of silver.gaps that holds ids.

    Args:
        venue: the market.
        symbol: canonical.
        from_id: the first id; with venue and symbol the key.
        to_id: the last id.
        detected_us: when it was recorded (UTC, us); 0 until it is.
        status: as in the table.
        reason: what happened.
        missing: which of the ids silver.trades does not hold.
        stored: whether the table has this row just so.
    """

    venue: str
    symbol: str
    from_id: int
    to_id: int
    status: Status
    reason: str
    missing: list[Range]
    detected_us: int = 0
    stored: bool = False


@dataclass(slots=True)
class _Symbol:
    low: int
    high: int
    waiting: list[Stretch] = field(default_factory=list)  # holes without a row, in order, with when each was shown


class MissingIds:
    """Holes that wait, and rows of silver.gaps with missing ids.

    A hole is looked at from the lowest id of its symbol to the highest: what was never heard before is none, and ids
    that go on after a silence leave none.
    """

    def __init__(self) -> None:
        self._symbols: dict[tuple[str, str], _Symbol] = {}
        self._gaps: dict[tuple[str, str], list[Gap]] = {}  # of each symbol in order, and apart from each other

    def restore(self, gap: Gap) -> None:
        """Take over a row of the table that is not closed; all its ids are missing until stretches are added."""
        self._keep((gap.venue, gap.symbol), [gap])

    def add(self, venue: str, symbol: str, stretches: Iterable[Stretch]) -> None:
        """Note ids that silver.trades holds, or will hold once this batch is written."""
        key = venue, symbol
        for stretch in sorted(stretches, key=lambda one: one.first):
            ids = self._symbols.get(key)
            if ids is None:
                ids = self._symbols[key] = _Symbol(stretch.first, stretch.last)
            elif stretch.first > ids.high + 1:
                ids.waiting += self._unknown(key, ids.high + 1, stretch.first - 1, stretch.received_us)
            elif stretch.last < ids.low - 1:
                ids.waiting[:0] = self._unknown(key, stretch.last + 1, ids.low - 1, stretch.received_us)
            touched = _touched(ids.waiting, "first", "last", stretch.first, stretch.last)
            ids.waiting[touched] = [rest for hole in ids.waiting[touched] for rest in _without(hole, stretch)]
            for gap in self._gaps_in(key, stretch.first, stretch.last):
                gap.missing = _difference(gap.missing, (stretch.first, stretch.last))
            ids.low, ids.high = min(ids.low, stretch.first), max(ids.high, stretch.last)

    def lacks(self, venue: str, symbol: str, trade_id: int) -> bool:
        """Say whether silver.trades is known not to hold an id; of a symbol never heard nothing is known."""
        ids = self._symbols.get((venue, symbol))
        if ids is None:
            return False
        if (
            not ids.low <= trade_id <= ids.high
            or ids.waiting[_touched(ids.waiting, "first", "last", trade_id, trade_id)]
        ):
            return True
        gaps = self._gaps_in((venue, symbol), trade_id, trade_id)
        return any(first <= trade_id <= last for gap in gaps for first, last in gap.missing)

    def lose(self, venue: str, symbol: str, lost: Range, reason: str) -> None:
        """Note that the venue no longer has some ids: those of them that are missing get rows of just their extent."""
        key = venue, symbol
        ids = self._symbols.get(key)
        found = [lost] if ids is None else _difference([lost], (ids.low, ids.high))
        for gap in self._gaps_in(key, *lost):
            found = [rest for one in found for rest in _difference([one], (gap.from_id, gap.to_id))]
        if ids is not None:
            found += [part for hole in ids.waiting for part in _common((hole.first, hole.last), lost)]
            ids.waiting = [rest for hole in ids.waiting for rest in _without(hole, Stretch(*lost, 0))]
        kept = [part for gap in self._gaps.pop(key, ()) for part in _split(gap, lost, reason)]
        self._keep(key, [*kept, *(Gap(venue, symbol, *part, UNRECOVERABLE, reason, [part]) for part in found)])

    def open(self, now_us: int, after_us: int, reason: str) -> None:
        """Give a row to every hole that has been known for as long as `after_us` at a time (UTC, us)."""
        for (venue, symbol), ids in self._symbols.items():
            lasting = [hole for hole in ids.waiting if now_us - hole.received_us >= after_us]
            if not lasting:
                continue
            ids.waiting = [hole for hole in ids.waiting if now_us - hole.received_us < after_us]
            ranges = [(hole.first, hole.last) for hole in lasting]
            self._keep((venue, symbol), [Gap(venue, symbol, *one, OPEN, reason, [one]) for one in ranges])

    def unstored(self) -> list[Gap]:
        """The rows that the table does not hold so yet."""
        return [gap for gaps in self._gaps.values() for gap in gaps if not gap.stored]

    def filled(self) -> list[Gap]:
        """The rows whose ids are all in silver.trades."""
        return [gap for gaps in self._gaps.values() for gap in gaps if not gap.missing]

    def forget(self, closed: Iterable[Gap]) -> None:
        """Let go of rows that the table says are closed."""
        gone = {id(gap) for gap in closed}
        self._gaps = {key: [gap for gap in gaps if id(gap) not in gone] for key, gaps in self._gaps.items()}

    def _keep(self, key: tuple[str, str], gaps: list[Gap]) -> None:
        if gaps:
            self._gaps[key] = sorted([*self._gaps.get(key, ()), *gaps], key=attrgetter("from_id"))

    def _gaps_in(self, key: tuple[str, str], first: int, last: int) -> list[Gap]:
        gaps = self._gaps.get(key, [])
        return gaps[_touched(gaps, "from_id", "to_id", first, last)]

    def _unknown(self, key: tuple[str, str], first: int, last: int, shown_us: int) -> list[Stretch]:
        parts = [(first, last)]
        for gap in self._gaps_in(key, first, last):
            parts = _difference(parts, (gap.from_id, gap.to_id))
        return [Stretch(*part, shown_us) for part in parts]


def stretches_between(ids: Stretch, holes: Iterable[Stretch]) -> list[Stretch]:
    """Cut ids at holes.

    Args:
        ids: from the lowest to the highest.
        holes: inside of it; `received_us` is that of the id behind the hole.
    """
    found, first, received_us = [], ids.first, ids.received_us
    for hole in sorted(holes, key=lambda one: one.first):
        found.append(Stretch(first, hole.first - 1, received_us))
        first, received_us = hole.last + 1, hole.received_us
    return [*found, Stretch(first, ids.last, received_us)]


def _split(gap: Gap, lost: Range, reason: str) -> list[Gap]:
    """Cut a row so that its lost ids are rows of their own; the others keep what they were."""
    parts = [part for one in gap.missing for part in _common(one, lost)]
    if gap.status == UNRECOVERABLE or not parts:
        return [gap]
    rest: list[Range] = [(gap.from_id, gap.to_id)]
    for part in parts:
        rest = _difference(rest, part)
    kept = [
        Gap(gap.venue, gap.symbol, *one, gap.status, gap.reason, _within(gap.missing, one), gap.detected_us)
        for one in rest
    ]
    return kept + [Gap(gap.venue, gap.symbol, *part, UNRECOVERABLE, reason, [part], gap.detected_us) for part in parts]


def _touched(ordered: list[Gap] | list[Stretch], start: str, end: str, first: int, last: int) -> slice:
    """Which of some ranges, in order and apart from each other, have an id of first..last."""
    return slice(bisect_left(ordered, first, key=attrgetter(end)), bisect_right(ordered, last, key=attrgetter(start)))


def _without(hole: Stretch, held: Stretch) -> list[Stretch]:
    rest = _difference([(hole.first, hole.last)], (held.first, held.last))
    return [Stretch(*part, hole.received_us) for part in rest]


def _difference(ranges: list[Range], taken: Range) -> list[Range]:
    rest = []
    for first, last in ranges:
        if taken[1] < first or taken[0] > last:
            rest.append((first, last))
            continue
        if first < taken[0]:
            rest.append((first, taken[0] - 1))
        if taken[1] < last:
            rest.append((taken[1] + 1, last))
    return rest


def _common(one: Range, other: Range) -> list[Range]:
    both = max(one[0], other[0]), min(one[1], other[1])
    return [both] if both[0] <= both[1] else []


def _within(ranges: list[Range], limits: Range) -> list[Range]:
    return [part for one in ranges for part in _common(one, limits)]
