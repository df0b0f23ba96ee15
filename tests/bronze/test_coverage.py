"""Which ids are missing, against a set that knows every id."""

from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from bronze.coverage import Coverage
from bronze.record import Record

Spans = list[tuple[int, int]]
spans = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 6)).map(lambda s: (s[0], s[0] + s[1])), min_size=1)


def record(first: int, last: int) -> Record:
    return Record("binance", "trade", "k", "s", 0, 1, "stream", b"", "BTCUSDT", first, last)


def holes(coverage: Coverage) -> list[tuple[int, int]]:
    return [(hole.first, hole.last) for hole in coverage.holes(time.monotonic())]


@given(spans)
def test_what_is_missing_is_what_was_never_added_between_first_and_highest(added: Spans) -> None:
    coverage = Coverage()
    for first, last in added:
        coverage.add(record(first, last))
    held = {number for first, last in added for number in range(first, last + 1)}
    # Below the first record's own end nothing is known to be missing: that is where listening began.
    missing = set(range(added[0][1] + 1, max(held))) - held
    assert {number for first, last in holes(coverage) for number in range(first, last + 1)} == missing
    assert coverage.high("BTCUSDT") == max(held)
    restored = Coverage.restore(json.loads(json.dumps(coverage.state())))
    assert restored.state() == coverage.state()


@given(spans)
def test_the_first_page_closes_holes_from_the_lowest_on(added: Spans) -> None:
    coverage = Coverage()
    for first, last in added:
        coverage.add(record(first, last))
    pages = 0
    while joined := coverage.first_holes(time.monotonic(), 10):
        (hole,) = joined
        assert hole.first == min(first for first, _ in holes(coverage))
        assert hole.last - hole.first < 10 or (hole.first, hole.last) in holes(coverage)
        coverage.add(record(hole.first, hole.last))
        pages += 1
        assert pages < 100
    assert holes(coverage) == []


def test_a_hole_is_as_old_as_its_first_sight_even_when_a_part_of_it_comes() -> None:
    coverage = Coverage()
    coverage.add(record(1, 1))
    coverage.add(record(9, 9))
    seen = time.monotonic()
    time.sleep(0.01)
    coverage.add(record(5, 5))
    assert [(hole.first, hole.last) for hole in coverage.holes(seen)] == [(2, 4), (6, 8)]
