"""Holds what bronze says against what silver holds: every row once, nowhere twice, nothing from nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.batches import COPIES, IN_FLIGHT, MISSING, QUARANTINE, SILVER, SURPLUS, Batches
from cryptolake.audit.kinds import Kind
from cryptolake.audit.places import Bools, Floor, Places, contains
from cryptolake.audit.quarantine import CONFLICT, SAID_COPY, SAID_SILVER, Quarantine
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.spill import Ints

LookUp = Callable[[Kind, Any], Any]  # rows of bronze to rows of silver, columns of `Kind.stored_schema`


class Accounting:
    """The account of one kind of row.

    Args:
        kind: which.
        places: numbers of places.
        quarantine: what silver refused.
        bad: places that the audit itself refuses, sorted, and why.
        why: names of the reasons by number.
        floor: from which offset on bronze was read; rows of silver below it are told apart.
        batches: takes in what became of the rows of each batch.
        replaying: a replay of the quarantine is at work, or was cut off, between its writes to silver and its marks.
        examples: failures shown per check.
        look_up: gives what silver holds, beside the rows that are taken, of the keys of some rows; None when those are
            all that it holds.
    """

    def __init__(
        self,
        kind: Kind,
        places: Places,
        quarantine: Quarantine,
        bad: tuple[Ints, Ints],
        why: Mapping[int, str],
        floor: Floor,
        batches: Batches,
        replaying: bool,
        examples: int,
        look_up: LookUp | None = None,
    ) -> None:
        self._kind = kind
        self._replaying = replaying
        self._places = places
        self._quarantine = quarantine
        self._bad, self._bad_why = bad
        self._why = why
        self._floor = floor
        self._batches = batches
        self._look_up = look_up
        self._keys = Tally(f"{kind.table} keys", "no key twice", examples)
        self._equal = Tally(f"{kind.table} fields", "every field equals what bronze says", examples)
        self._sources = Tally(f"{kind.table} sources", "every row comes from a good row of bronze", examples)
        self._lost = Tally(
            f"{kind.table} complete",
            "every good row of bronze is there once, or a further copy of one that is, or quarantined for a conflict",
            examples,
        )

    def take(self, expected: Any, stored: Any) -> None:
        """Account for one part.

        Args:
            expected: rows of bronze, columns of `Kind.expected_schema`.
            stored: rows of silver, columns of `Kind.stored_schema`.
        """
        self._check_keys(stored)
        everything, below = stored, self._floor.below(_ints(stored, "place"))
        stored = stored.filter(pa.array(~below))
        places = _ints(stored, "place")
        order = np.argsort(places, kind="stable")
        ordered, wanted = places[order], _ints(expected, "place")
        found = contains(ordered, wanted)
        if len(ordered):
            rows = order[np.searchsorted(ordered, wanted[found])]
            self._compare(expected.filter(pa.array(found)), stored.take(pa.array(rows)))
        self._note_below(int(below.sum()))
        self._check_sources(stored, places, ~contains(np.sort(wanted), places))
        self._check_absent(expected, everything, wanted, found)

    def results(self) -> list[CheckResult]:
        """Close the checks."""
        return [tally.result() for tally in (self._keys, self._equal, self._sources, self._lost)]

    def _check_keys(self, stored: Any) -> None:
        self._keys.count(stored.num_rows)
        key = [name.replace("venue_symbol", "symbol") for name in self._kind.key]
        counted = stored.select(key).group_by(key).aggregate([([], "count_all")])
        doubled = counted.filter(pc.greater(counted["count_all"], 1))
        surplus = sum(doubled["count_all"].to_pylist()) - doubled.num_rows
        self._keys.fail(surplus, (f"{_key_text(row, key)}: {row['count_all']} rows" for row in doubled.to_pylist()))

    def _compare(self, expected: Any, stored: Any) -> None:
        self._equal.count(expected.num_rows)
        wrong = np.zeros(expected.num_rows, dtype=np.bool_)
        texts: list[str] = []
        for name in self._kind.columns:
            differs = _differs(expected[name], stored[name])
            wrong |= differs
            for at in np.flatnonzero(differs)[:5].tolist():
                texts.append(
                    f"{self._row_text(expected, at)}: {name} is {stored[name][at]}, bronze says {expected[name][at]}"
                )
        self._equal.fail(int(wrong.sum()), texts)

    def _note_below(self, rows: int) -> None:
        if not self._floor.since:  # else they are neighbours, read for their keys
            self._sources.count(rows)
            self._sources.note("rows older than what bronze still holds, not checked", rows)

    def _check_sources(self, stored: Any, places: Ints, without: Bools) -> None:
        self._sources.count(stored.num_rows)
        failing = np.flatnonzero(without)
        self._sources.fail(len(failing), (self._source_text(stored, at, int(places[at])) for at in failing.tolist()))
        ordered = np.sort(places[~without])
        self._batches.count_at(SILVER, places)
        self._batches.count_at(SURPLUS, np.concatenate([places[without], ordered[1:][np.diff(ordered) == 0]]))

    def _source_text(self, stored: Any, at: int, place: int) -> str:
        number = int(np.searchsorted(self._bad, place))
        bad = number < len(self._bad) and int(self._bad[number]) == place
        why = f"bronze's row is bad ({self._why[int(self._bad_why[number])]})" if bad else "bronze has no such row"
        return f"{self._row_text(stored, at)}: {why}"

    def _check_absent(self, expected: Any, stored: Any, wanted: Ints, found: Bools) -> None:
        self._lost.count(expected.num_rows)
        refused = self._quarantine.holds(wanted)
        in_flight = expected["in_flight"].to_numpy()
        both = np.flatnonzero(found & refused).tolist()
        if self._replaying:
            self._lost.note("of a replay that is not finished", len(both))
        else:
            self._lost.fail(len(both), (f"{self._row_text(expected, at)}: in silver and in quarantine" for at in both))
        copied = np.flatnonzero(found & self._quarantine.said(wanted, SAID_COPY)).tolist()
        self._lost.fail(len(copied), (f"{self._row_text(expected, at)}: in silver, not a copy" for at in copied))
        absent = np.flatnonzero(~found)
        same, other = self._copies(expected.take(pa.array(absent)), stored)
        self._seek(expected, absent, ~(refused | in_flight)[absent], same, other)
        copies = same & ~refused[absent]
        self._lost.note("further copies", int(copies.sum()))
        gone = self._quarantine.said(wanted, SAID_SILVER)
        failed = list(self._judge_absent(absent, same, other, refused, in_flight, wanted, gone))
        self._lost.fail(len(failed), (f"{self._row_text(expected, at)}: {text}" for at, text in failed))
        copies &= ~gone[absent]
        rest = absent[~refused[absent] & ~copies]
        waiting = in_flight[rest] & ~gone[rest]
        for figure, rows in (
            (QUARANTINE, np.flatnonzero(refused & ~(found & self._replaying))),
            (COPIES, absent[copies]),
            (IN_FLIGHT, rest[waiting]),
            (MISSING, rest[~waiting]),
        ):
            self._batches.count_at(figure, wanted[rows])

    def _seek(self, expected: Any, absent: Ints, sought: Bools, same: Bools, other: Bools) -> None:
        """Look for keys in all of silver before they are called lost."""
        at = np.flatnonzero(sought & ~same & ~other)
        if self._look_up is None or not len(at):
            return
        rows = expected.take(pa.array(absent[at]))
        same[at], other[at] = self._copies(rows, self._look_up(self._kind, rows))

    def _judge_absent(
        self, absent: Ints, same: Bools, other: Bools, refused: Bools, in_flight: Bools, wanted: Ints, gone: Bools
    ) -> Iterator[tuple[int, str]]:
        for number in np.flatnonzero(~same | (refused | gone)[absent]).tolist():
            at = int(absent[number])
            if gone[at]:
                yield at, "silver has it not, though a replay is said to have put it there"
            elif refused[at]:
                place = int(wanted[at])
                reasons = self._quarantine.reasons(place)
                if self._quarantine.conflicts(place) and (other[number] or in_flight[at]):
                    self._lost.note("conflicting copies in quarantine", 1)
                elif self._quarantine.conflicts(place):
                    yield at, f"quarantined as {CONFLICT}, but silver holds nothing that it conflicts with"
                elif self._quarantine.mendable(place):
                    self._lost.note("in quarantine and good by now, see `cryptolake quarantine replay`", 1)
                else:
                    yield at, f"a good row is in quarantine as {', '.join(reasons) or 'nothing'}"
            elif in_flight[at]:
                self._lost.note("in flight", 1)
            elif other[number]:
                yield at, "conflicts with the row in silver and is not in quarantine"
            else:
                yield at, "lost: neither in silver nor in quarantine"

    def _copies(self, absent: Any, stored: Any) -> tuple[Bools, Bools]:
        """Say for each row whether silver holds its key with the same content, and with another one."""
        same, other = np.zeros(absent.num_rows, dtype=np.bool_), np.zeros(absent.num_rows, dtype=np.bool_)
        if not absent.num_rows or not stored.num_rows:
            return same, other
        kind = self._kind
        left = absent.select([*kind.key, *kind.content]).append_column("at", pa.array(np.arange(absent.num_rows)))
        right = stored.select([*kind.key, *kind.content]).rename_columns(
            [*kind.key, *(f"stored_{name}" for name in kind.content)]
        )
        both = left.join(right, keys=list(kind.key), join_type="inner", use_threads=False)
        differs = np.zeros(both.num_rows, dtype=np.bool_)
        for name in kind.content:
            differs |= _differs(both[name], both[f"stored_{name}"])
        at = _ints(both, "at")
        same[at[~differs]] = True
        other[at[differs]] = True
        return same, other

    def _row_text(self, rows: Any, at: int) -> str:
        key = {name: rows[name][at].as_py() for name in self._kind.key}
        return f"{_key_text(key, self._kind.key)} ({self._places.text(int(rows['place'][at].as_py()))})"


def check_quarantine(
    quarantine: Quarantine,
    bad: tuple[Ints, Ints, Bools],
    why: Mapping[int, str],
    places: Places,
    floor: Floor,
    batches: Batches,
    examples: int,
) -> list[CheckResult]:
    """Check that quarantine holds every bad row once, and nothing else; call it after all accounts."""
    keys = Tally("silver.quarantine keys", "no row twice", examples)
    quarantine.check_keys(places, keys)
    refused = Tally("silver.quarantine complete", "every bad row of bronze is there", examples)
    place, reason, in_flight = bad
    refused.count(len(place))
    held = quarantine.holds(place)
    refused.note("in flight", int((~held & in_flight).sum()))
    missing = np.flatnonzero(~held & ~in_flight)
    refused.fail(len(missing), (f"{places.text(int(place[at]))}: {why[int(reason[at])]}" for at in missing.tolist()))
    explained = Tally("silver.quarantine sources", "every row comes from a row of bronze", examples)
    explained.count(len(quarantine.place))
    strange = quarantine.unexplained()
    cut = floor.below(strange)
    explained.note("rows older than the frames that were read, not checked", int(cut.sum()))
    strange = strange[~cut]
    explained.fail(len(strange), (f"bronze has no such row: {places.text(place)}" for place in strange.tolist()))
    for figure, rows in (
        (QUARANTINE, place[held]),
        (IN_FLIGHT, place[~held & in_flight]),
        (MISSING, place[missing]),
        (SURPLUS, strange),
    ):
        batches.count_at(figure, rows)
    outcomes = Tally("silver.quarantine outcomes", "each is one that a replay gives", examples)
    quarantine.check_outcomes(place, places, outcomes)
    return [keys.result(), refused.result(), explained.result(), outcomes.result()]


def _differs(left: Any, right: Any) -> Bools:
    unequal = pc.fill_null(pc.not_equal(left, right), False)
    one_null = pc.xor(left.is_null(), right.is_null())
    result: Bools = pc.or_(unequal, one_null).to_numpy()
    return result


def _ints(table: Any, name: str) -> Ints:
    result: Ints = np.asarray(table[name].to_numpy(), dtype=np.int64)
    return result


def _key_text(row: Mapping[str, Any], key: Iterable[str]) -> str:
    return " ".join(str(row[name]) for name in key)
