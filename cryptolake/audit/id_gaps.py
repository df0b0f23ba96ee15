"""Whether silver.gaps tells the truth about missing trade ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.id_ranges import Range, as_text, common, less
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.symbols import Names

# Only here does an id missing between two others mean a trade that was not heard (venues.md, 0.3 and 1.3).
VENUE = "binance"
COLUMNS = {"from_id": pa.int64(), "to_id": pa.int64(), "status": pa.string(), "closed_at": pa.timestamp("us")}


class Lost(NamedTuple):
    """What a marker in bronze says: the venue no longer has these ids; in flight while refine has not read it."""

    venue_symbol: str
    first: int
    last: int
    in_flight: bool


class _Row(NamedTuple):
    first: int
    last: int
    status: str
    closed_us: int


class _Stretch(NamedTuple):
    first: int
    last: int
    first_received_us: int
    last_received_us: int


class _Hole(NamedTuple):
    first: int
    last: int
    shown_us: int


class Window(NamedTuple):
    """What an audit of the newest needs of the rest of silver.trades.

    Args:
        since_us: rows closed at this time (UTC, us) or later are looked at.
        before: gives for symbols and ids the greatest id below it that silver holds, and how many it did not find.
        look_up: gives trades among which are all that silver holds of some ids of symbols.
    """

    since_us: int
    before: Callable[[Mapping[str, int]], tuple[Mapping[str, int], int]]
    look_up: Callable[[Mapping[str, Range]], Iterable[Any]]


class IdGapsCheck:
    """Collects ids and rows of silver.gaps, then compares.

    Args:
        names: what symbols may stand for.
        lasting_us: a hole shown this long before the newest trade was received must have its row.
        examples: failures shown per check.
        window: when only what came since a moment is looked at.
    """

    def __init__(self, names: Names, lasting_us: int, examples: int, window: Window | None = None) -> None:
        self._names = names
        self._lasting_us = lasting_us
        self._window = window
        self._held: dict[str, list[_Stretch]] = {}
        self._rows: dict[str, list[_Row]] = {}
        self._before: dict[str, int] = {}  # the greatest id that did not come since that moment
        self._newest_us = 0
        self._missing = Tally("silver.gaps missing ids", "every id missing in silver.trades is in a row", examples)
        self._closed = Tally(
            "silver.gaps closed ids", "every id of a closed row is in silver.trades; rows do not overlap", examples
        )
        self._lost = Tally(
            "silver.gaps lost ids", "unrecoverable is what markers in bronze say, and all of it", examples
        )

    def add_trades(self, batch: Any, came: Any = None) -> None:
        """Add rows of silver.trades.

        Args:
            batch: the rows.
            came: which of them came since the moment; None when all count.
        """
        wanted = pc.and_(pc.equal(batch.column("venue"), VENUE), batch.column("trade_id").is_valid())
        mine = batch.filter(wanted)
        if not mine.num_rows:
            return
        self._hold(mine)
        self._newest_us = max(self._newest_us, int(pc.max(mine.column("received_at").cast(pa.int64())).as_py()))
        if came is not None:
            old = batch.filter(pc.and_(wanted, pc.invert(pa.array(came))))
            greatest = pa.Table.from_batches([old]).group_by("symbol").aggregate([("trade_id", "max")])
            for row in greatest.to_pylist():
                symbol, number = row["symbol"], row["trade_id_max"]
                self._before[symbol] = max(number, self._before.get(symbol, number))

    def _hold(self, mine: Any) -> None:
        coded = mine.column("symbol").dictionary_encode()
        symbols, ids = coded.indices.to_numpy(), mine.column("trade_id").to_numpy()
        received = mine.column("received_at").cast(pa.int64()).to_numpy()
        order = np.lexsort((ids, symbols))
        symbols, ids, received = symbols[order], ids[order], received[order]
        breaks = np.flatnonzero((np.diff(symbols) != 0) | (np.diff(ids) > 1))
        starts, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(ids) - 1]])
        names = coded.dictionary.to_pylist()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            stretch = _Stretch(*(int(n) for n in (ids[start], ids[end], received[start], received[end])))
            self._held.setdefault(names[symbols[start]], []).append(stretch)

    def add_gaps(self, batch: Any) -> None:
        """Add rows of silver.gaps that hold ids."""
        closed = pc.fill_null(batch.column("closed_at").cast(pa.int64()), 0)
        columns = [batch.column(name) for name in ("symbol", "from_id", "to_id", "status")]
        for symbol, *values in zip(*(column.to_pylist() for column in [*columns, closed]), strict=True):
            self._rows.setdefault(symbol, []).append(_Row(*values))

    def lost(self, venue_symbol: str) -> list[Range]:
        """The ids of a symbol that silver calls unrecoverable."""
        rows = self._rows.get(self._symbol(venue_symbol), ())
        return [(row.first, row.last) for row in rows if row.status == "unrecoverable"]

    def results(self, markers: Iterable[Lost], pinned_us: int) -> list[CheckResult]:
        """Compare and close the checks.

        Args:
            markers: what bronze says of lost ids.
            pinned_us: when the tables were pinned (UTC, us): a row closed later may tell of trades written later.
        """
        told: dict[str, list[Lost]] = {}
        for marker in markers:
            told.setdefault(self._symbol(marker.venue_symbol), []).append(marker)
        if self._window:
            self._look_around(self._window, told, pinned_us)
        for symbol in sorted({*self._held, *self._rows, *told}):
            holes, known = _holes(self._held.get(symbol, []))
            rows = sorted(self._rows.get(symbol, ()))
            new = [hole for hole in holes if hole.first > self._before.get(symbol, -1)]
            self._check_missing(symbol, new, _telling(rows, pinned_us))
            absent: list[Range] = [(hole.first, hole.last) for hole in holes]
            absent += [(-(2**63), known[0] - 1), (known[1] + 1, 2**63 - 1)]
            self._check_closed(symbol, absent, rows, pinned_us)
            self._check_lost(symbol, absent, rows, told.get(symbol, []))
        return [tally.result() for tally in (self._missing, self._closed, self._lost)]

    def _look_around(self, window: Window, told: Mapping[str, list[Lost]], pinned_us: int) -> None:
        """Add what silver holds beside what was read: the id before the first that came, and ids that rows name."""
        lonely = {symbol: stretches for symbol, stretches in self._held.items() if symbol not in self._before}
        lowest = {symbol: min(stretches).first for symbol, stretches in lonely.items()}
        before, unfound = window.before(lowest) if lowest else ({}, 0)
        self._missing.note("symbols not joined onto their ids before", unfound)
        for symbol, number in before.items():
            self._before[symbol] = number
            self._held[symbol].append(_Stretch(number, number, 0, 0))
        asked: dict[str, Range] = {}
        for symbol in {*self._held, *self._rows, *told}:
            stretches = [one[:2] for one in sorted(self._held.get(symbol, ()))]
            rest = less(self._asked_of(symbol, told.get(symbol, []), pinned_us), stretches)
            if rest:
                asked[symbol] = min(rest)[0], max(last for _, last in rest)
        for batch in window.look_up(asked) if asked else ():
            self._hold(batch)

    def _asked_of(self, symbol: str, markers: list[Lost], pinned_us: int) -> list[Range]:
        rows = self._rows.get(symbol, [])
        new = [h[:2] for h in _holes(self._held.get(symbol, []))[0] if h.first > self._before.get(symbol, -1)]
        unsaid = less(new, [row[:2] for row in _telling(rows, pinned_us)])
        closed = [row[:2] for row in rows if self._is_closed(row, pinned_us)]
        return [*unsaid, *closed, *(marker[1:3] for marker in markers)]

    def _is_closed(self, row: _Row, pinned_us: int) -> bool:
        return row.status == "closed" and (self._window.since_us if self._window else 0) <= row.closed_us <= pinned_us

    def _symbol(self, venue_symbol: str) -> str:
        """The name under which gaps, or else trades, of a venue's symbol are held."""
        names = sorted("-".join(pair) for pair in self._names.pairs(VENUE, venue_symbol)) or [venue_symbol]
        return next((name for held in (self._rows, self._held) for name in names if name in held), names[0])

    def _check_missing(self, symbol: str, holes: list[_Hole], rows: list[_Row]) -> None:
        said: list[Range] = [(row.first, row.last) for row in rows]
        for hole in holes:
            self._missing.count(hole.last - hole.first + 1)
            rest = less([(hole.first, hole.last)], said)
            size = sum(last - first + 1 for first, last in rest)
            if size and self._newest_us - hole.shown_us < self._lasting_us:
                self._missing.note("shown in the newest seconds", size)
            else:
                self._missing.fail(size, (f"{symbol} {first} to {last}: no row" for first, last in rest))

    def _check_closed(self, symbol: str, absent: list[Range], rows: list[_Row], pinned_us: int) -> None:
        self._closed.count(len(rows) if self._window is None else sum(self._is_closed(r, pinned_us) for r in rows))
        for row in rows:
            if self._is_closed(row, pinned_us) and (gone := common([row[:2]], absent)):
                self._closed.fail(1, [f"{symbol} {row.first} to {row.last}: closed, but {as_text(gone)} are missing"])
        doubled = [pair for pair in pairwise(rows) if pair[0].last >= pair[1].first]
        self._closed.fail(len(doubled), (f"{symbol} {a[:2]} and {b[:2]} overlap" for a, b in doubled))

    def _check_lost(self, symbol: str, absent: list[Range], rows: list[_Row], markers: list[Lost]) -> None:
        said: list[Range] = [(marker.first, marker.last) for marker in markers]
        noted: list[Range] = [row[:2] for row in rows if row.status == "unrecoverable"]
        for row in rows:
            if row.status == "unrecoverable" and self._window is None:
                self._lost.count(1)
                if untold := less([row[:2]], said):
                    self._lost.fail(1, [f"{symbol} {as_text(untold)}: unrecoverable, but no marker says so"])
        for marker in markers:
            self._lost.count(1 if self._window else 0)
            if not marker.in_flight and (open_ids := less(common([marker[1:3]], absent), noted)):
                self._lost.fail(1, [f"{symbol} {as_text(open_ids)}: lost by a marker, but not unrecoverable"])


def _holes(stretches: list[_Stretch]) -> tuple[list[_Hole], Range]:
    """The holes between stretches of ids, each shown once both its neighbours were there, and the outermost ids."""
    if not stretches:
        return [], (0, -1)
    ordered = sorted(stretches)
    holes, below = [], ordered[0]
    for stretch in ordered[1:]:
        if stretch.first > below.last + 1:
            shown_us = max(below.last_received_us, stretch.first_received_us)
            holes.append(_Hole(below.last + 1, stretch.first - 1, shown_us))
        below = max(below, stretch, key=lambda one: one.last)
    return holes, (ordered[0].first, below.last)


def _telling(rows: Iterable[_Row], pinned_us: int) -> list[_Row]:
    """The rows that say that ids are missing; one closed later may tell of trades written later."""
    return [row for row in rows if row.status != "closed" or row.closed_us > pinned_us]
