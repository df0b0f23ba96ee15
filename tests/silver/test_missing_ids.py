"""The bookkeeping of missing ids: traces of what is heard, and a random run against plain sets."""

from __future__ import annotations

import os
import random

from silver.missing_ids import Gap, MissingIds, Range, Stretch, stretches_between

SEED = int(os.environ.get("CRYPTOLAKE_TEST_SEED") or random.randrange(2**32))  # noqa: S311
S = 1_000_000


class Trace:
    """One symbol; times are seconds."""

    def __init__(self) -> None:
        self.ids = MissingIds()

    def heard(self, first: int, last: int, at_s: float = 0) -> Trace:
        self.ids.add("v", "s", [Stretch(first, last, int(at_s * S))])
        return self

    def lost(self, first: int, last: int) -> Trace:
        self.ids.lose("v", "s", (first, last), "lost")
        return self

    def opened(self, at_s: float) -> list[tuple[int, int, str]]:
        """The rows to write, which are then written."""
        self.ids.open(int(at_s * S), 5 * S, "missing")
        found = self.ids.unstored()
        for gap in found:
            gap.stored = True
        return sorted((gap.from_id, gap.to_id, gap.status) for gap in found)

    def filled(self) -> list[Range]:
        found = self.ids.filled()
        self.ids.forget(found)
        return sorted((gap.from_id, gap.to_id) for gap in found)


def test_a_hole_that_closes_in_time_is_never_heard_of_and_one_that_lasts_is() -> None:
    trace = Trace().heard(10, 20, 0).heard(31, 40, 1).heard(51, 60, 2)
    assert trace.opened(5.9) == []
    trace.heard(21, 30, 6)
    assert trace.opened(6.9) == []
    assert trace.opened(7) == [(41, 50, "open")]
    assert trace.opened(60) == []
    trace.heard(41, 49)
    assert trace.filled() == []
    trace.heard(50, 50)
    assert trace.filled() == [(41, 50)]
    assert trace.filled() == []


def test_neither_a_halt_nor_what_was_before_the_first_id_is_a_hole() -> None:
    trace = Trace().heard(10, 20, 0).heard(21, 30, 40_000)
    assert trace.opened(50_000) == []


def test_what_comes_from_before_the_first_id_shows_the_hole_up_to_it() -> None:
    trace = Trace().heard(100, 110, 0).heard(1, 50, 9)
    assert trace.opened(13) == []
    assert trace.opened(14) == [(51, 99, "open")]


def test_reordered_and_repeated_ids_leave_nothing() -> None:
    trace = Trace().heard(1, 1).heard(3, 3).heard(2, 2).heard(2, 3).heard(4, 4)
    assert trace.opened(99) == []


def test_a_row_is_cut_so_that_lost_ids_are_rows_of_just_their_extent() -> None:
    trace = Trace().heard(1, 9).heard(31, 40)
    assert trace.opened(5) == [(10, 30, "open")]
    trace.heard(10, 12).lost(11, 20)
    assert trace.opened(6) == [(10, 12, "open"), (13, 20, "unrecoverable"), (21, 30, "open")]
    assert trace.filled() == [(10, 12)]
    assert trace.lost(13, 20).opened(7) == []
    trace.heard(13, 19)
    assert trace.filled() == []
    trace.heard(20, 30)  # as from a dump
    assert trace.filled() == [(13, 20), (21, 30)]


def test_ids_are_lost_before_anything_shows_the_hole_or_while_it_waits() -> None:
    trace = Trace().heard(1, 9).lost(10, 15)
    assert trace.opened(0) == [(10, 15, "unrecoverable")]
    trace.heard(18, 20, 1).lost(16, 16)
    assert trace.opened(1) == [(16, 16, "unrecoverable")]
    assert trace.opened(6) == [(17, 17, "open")]
    assert trace.lost(1, 9).lost(18, 20).opened(9) == []  # they are there


def test_stretches_are_what_lies_between_holes_each_with_the_time_it_began() -> None:
    holes = [Stretch(7, 8, 30), Stretch(3, 4, 20)]
    cut = stretches_between(Stretch(1, 9, 10), holes)
    assert cut == [Stretch(1, 2, 10), Stretch(5, 6, 20), Stretch(9, 9, 30)]
    assert stretches_between(Stretch(1, 9, 10), []) == [Stretch(1, 9, 10)]


def test_a_random_run_agrees_with_plain_sets_and_with_what_the_tables_alone_tell() -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311
    for _ in range(150):
        run(chance)


def run(chance: random.Random) -> None:
    ids, held, lost = MissingIds(), set[int](), set[int]()
    for step in range(40):
        first = chance.randrange(60)
        last = first + chance.randrange(8)
        if step and chance.random() < 0.15:
            ids.lose("v", "s", (first, last), "lost")
            lost |= set(range(first, last + 1)) - held
        else:
            ids.add("v", "s", [Stretch(first, last, step)])
            held |= set(range(first, last + 1))
        ids.open(step, chance.choice([0, 5, 100]), "missing")
        stored = ids.unstored()
        for gap in stored:
            gap.stored = True
        ids.forget(ids.filled())
        assert not held or [n for n in range(-1, 70) if not ids.lacks("v", "s", n)] == sorted(held)
    ids.open(100, 0, "missing")
    agrees(ids, held, lost)
    rows = [gap for gaps in ids._gaps.values() for gap in gaps]  # noqa: SLF001 - what the table would hold
    anew = MissingIds()
    for row in rows:
        whole = [(row.from_id, row.to_id)]
        anew.restore(Gap(row.venue, row.symbol, row.from_id, row.to_id, row.status, row.reason, whole, 1, stored=True))
    stretches = [Stretch(number, number, 0) for number in held]
    anew.add("v", "s", stretches)
    anew.open(100, 0, "missing")
    agrees(anew, held, lost)
    assert anew.unstored() == []
    assert anew.filled() == []


def agrees(ids: MissingIds, held: set[int], lost: set[int]) -> None:
    rows = [gap for gaps in ids._gaps.values() for gap in gaps]  # noqa: SLF001
    covered = [number for gap in rows for number in range(gap.from_id, gap.to_id + 1)]
    assert len(covered) == len(set(covered))
    missing = {number for gap in rows for first, last in gap.missing for number in range(first, last + 1)}
    assert missing == (set(range(min(held), max(held))) | lost) - held
    said = {n for gap in rows if gap.status == "unrecoverable" for n in range(gap.from_id, gap.to_id + 1)}
    assert lost - held <= said <= lost
