"""Where trades may be missing between two connections, and what shows that none are."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field

import pytest

from bronze.breaks import Break, marker_numbers
from bronze.coverage import Coverage
from bronze.record import Record

VENUE, SYMBOL = "bybit-spot", "BTCUSDT"


@dataclass
class Held:
    """A coverage, told of frames (a session's), pages and markers."""

    coverage: Coverage = field(default_factory=Coverage)

    def add(self, session: str, first: int, last: int | None = None, *, origin: str = "stream") -> None:
        last = last or first
        self.coverage.add(
            Record(VENUE, "trade", SYMBOL, session, 0, 1, origin, b"", SYMBOL, first, last, last * 1000)
        )  # fmt: skip

    def page(self, first: int, last: int) -> None:
        self.add("page", first, last, origin="backfill")

    def mark(self, lost: Break) -> None:
        self.coverage.add(Record(VENUE, "gap", SYMBOL, "m", 0, 1, "stream", b"{}", **marker_numbers(lost)))

    def breaks(self) -> list[Break]:
        found = self.coverage.breaks.found(time.monotonic())
        restored = Coverage.restore(json.loads(json.dumps(self.coverage.state())))
        assert restored.state() == self.coverage.state()
        assert [(b.after, b.before) for b in restored.breaks.found(float("-inf"))] == [
            (b.after, b.before) for b in found
        ]
        return found

    def spans(self) -> list[tuple[int, int]]:
        return [(b.after, b.before) for b in self.breaks()]


@pytest.fixture
def held() -> Held:
    """A connection A has brought 1 to 10."""
    held = Held()
    held.add("A", 1, 4)
    held.add("A", 7, 10)
    return held


def test_one_connection_has_no_breaks_however_its_numbers_jump(held: Held) -> None:
    held.add("A", 900)
    held.add("A", 5)  # late
    assert held.spans() == []


def test_a_new_connection_that_begins_beyond_the_newest_leaves_a_break(held: Held) -> None:
    held.add("B", 20)
    held.add("B", 30)
    assert held.spans() == [(10, 20)]
    (found,) = held.breaks()
    assert (found.after_us, found.before_us) == (10_000, 20_000)


def test_a_new_connection_that_repeats_what_is_held_follows_on(held: Held) -> None:
    held.add("B", 10)
    held.add("B", 20)
    held.add("C", 20, 25)
    assert held.spans() == []


def test_an_older_connection_that_goes_on_closes_the_break(held: Held) -> None:
    held.add("B", 20)
    held.add("A", 15)
    assert held.spans() == [(10, 20)]
    held.add("A", 20)
    assert held.spans() == []


def test_a_page_closes_only_what_it_spans(held: Held) -> None:
    held.add("B", 20)
    held.page(5, 19)  # ends too early
    held.page(10, 30)  # may begin in the middle of a match
    held.page(12, 40)
    assert held.spans() == [(10, 20)]
    held.page(9, 30)
    assert held.spans() == []


def test_a_page_beyond_the_newest_leaves_a_break_of_its_own(held: Held) -> None:
    held.page(15, 30)
    held.add("B", 30)
    held.add("B", 40)
    assert held.spans() == [(10, 15)]


def test_a_marker_closes_its_break_and_no_other(held: Held) -> None:
    held.add("B", 20)
    held.add("C", 30)
    first, second = held.breaks()
    held.mark(first)
    assert held.breaks() == [second]
    held.mark(first)
    assert held.breaks() == [second]


def test_symbols_and_markets_do_not_mix(held: Held) -> None:
    held.coverage.add(Record("bybit-linear", "trade", "k", "B", 0, 1, "stream", b"", SYMBOL, 20, 20, 1))
    held.coverage.add(Record(VENUE, "trade", "k", "B", 0, 1, "stream", b"", "ETHUSDT", 20, 20, 1))
    assert held.spans() == []
    assert held.coverage.breaks.newest("bybit-linear", SYMBOL) == 20
    assert held.coverage.breaks.newest("bybit-linear", "ETHUSDT") is None


def test_whatever_connections_and_pages_do_what_is_lost_lies_in_a_break() -> None:
    seed = random.randrange(10**6)  # noqa: S311
    print(f"seed {seed}")
    losses = 0
    for number in range(60):
        draw = random.Random(f"{seed}/{number}")  # noqa: S311
        held, happened, brought, alive = Held(), list[int](), set[int](), set[str]()
        for trade in sorted(draw.sample(range(1, 400), 60)):
            happened.append(trade)
            if draw.random() < 0.2 and alive:
                alive.remove(draw.choice(sorted(alive)))
            if draw.random() < 0.2 and len(alive) < 2:
                alive.add(f"S{trade}")
            for session in draw.sample(sorted(alive), len(alive)):
                held.add(session, trade)
                brought.add(trade)
            if draw.random() < 0.1 and brought:
                page = happened[-draw.randint(1, 8) :]
                held.page(page[0], page[-1])
                brought.update(page)
            lost = (
                {one for one in happened if one not in brought and min(brought) < one < max(brought)} if brought else ()
            )
            losses += len(lost)
            spans = held.spans()
            assert all(any(low < one < high for low, high in spans) for one in lost), (number, trade, lost, spans)
    assert losses > 200
