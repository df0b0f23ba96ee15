"""silver.quarantine in a few numbers per row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cryptolake.audit.kinds import PLACE_COLUMNS
from cryptolake.audit.pinned_table import PinnedTable
from cryptolake.audit.places import Bools, Places, contains, frame_of
from cryptolake.audit.result import Tally
from cryptolake.audit.spill import Ints
from lakehouse.conditions import AnyOf

CONFLICT = "conflicting_duplicate"
RULE_VERSION = "3"  # of the rules that the audit has of its own
_MENDABLE = frozenset({"unknown_symbol", "ambiguous_symbol", "unknown_venue", "unknown_channel"})  # no fault of the row
SAID_SILVER, SAID_COPY, SAID_CONFLICT = "silver", "copy", "conflict"
_STILL_BAD = (None, "rejected", SAID_CONFLICT)
_OUTCOMES = (*_STILL_BAD, SAID_SILVER, SAID_COPY, "split", "empty")


class Quarantine:
    """Every quarantined row: where it came from, why, and a digest of its bytes.

    Args:
        table: the pinned table.
        places: numbers of places.
        batch_bytes: how much is read at once.
        where: conditions on the rows that are read; None reads all.
    """

    def __init__(self, table: PinnedTable, places: Places, batch_bytes: int, where: AnyOf | None = None) -> None:
        self._reasons: dict[tuple[str, ...], int] = {}
        self._judgments: dict[tuple[str | None, str | None], int] = {}
        place, why, judged, digest = [], [], [], []
        columns = {
            **PLACE_COLUMNS,
            "reasons": pa.list_(pa.string()),
            "rule_version": pa.string(),
            "replay_rule_version": pa.string(),
            "outcome": pa.string(),
            "payload": pa.binary(),
        }
        for _, batch in table.batches(columns, batch_bytes, where=where):
            place.append(places.rows(batch))
            reasons = [tuple(sorted(row or ())) for row in batch.column("reasons").to_pylist()]
            why.append([self._reasons.setdefault(row, len(self._reasons)) for row in reasons])
            names = ("outcome", "rule_version", "replay_rule_version")
            said = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
            pairs = [(outcome, tried or first) for outcome, first, tried in said]
            judged.append([self._judgments.setdefault(pair, len(self._judgments)) for pair in pairs])
            digest.append([digest_of(payload) for payload in batch.column("payload").to_pylist()])
        order = np.argsort(_joined(place), kind="stable")
        self.place: Ints = _joined(place)[order]
        self._why: Ints = _joined(why)[order]
        self._judged: Ints = _joined(judged)[order]
        self._digest: Ints = _joined(digest)[order]
        self._explained: Bools = np.zeros(len(order), dtype=np.bool_)
        self._of_bronze: Bools = np.zeros(len(order), dtype=np.bool_)
        self._names = {number: names for names, number in self._reasons.items()}
        self._said = dict(enumerate(self._judgments))

    def settle_rows(self, arrays: Ints) -> None:
        """Call row 0 what was quarantined as a whole frame but is a frame of one row.

        Args:
            arrays: frames of many rows, sorted.
        """
        whole = (self.place == frame_of(self.place)) & ~contains(arrays, self.place)
        order = np.argsort(self.place + whole, kind="stable")
        for name in ("place", "_why", "_judged", "_digest", "_explained", "_of_bronze"):
            values = getattr(self, name) + whole if name == "place" else getattr(self, name)
            setattr(self, name, values[order])

    def digests(self, frames: Ints) -> list[tuple[int, Ints]]:
        """Find which of the frames are quarantined, as a whole or in parts.

        Args:
            frames: places of whole frames.

        Returns:
            the index of each such frame, and the digests of the payloads it was quarantined with.
        """
        own = frame_of(self.place)
        self._of_bronze |= contains(np.sort(frames), own)
        first, last = np.searchsorted(own, frames), np.searchsorted(own, frames, side="right")
        return [(at, self._digest[first[at] : last[at]]) for at in np.flatnonzero(last > first).tolist()]

    def holds(self, places: Ints) -> Bools:
        """Say which places are quarantined, for themselves or with all of their frame, and remember them as explained.

        What a replay has dealt with is quarantined no more.
        """
        still = self._with_outcome(*_STILL_BAD)
        mendable = self._mendable()
        own, whole = self.place[still], self.place[still & mendable]
        self._explained |= contains(np.sort(places), self.place)
        self._explained |= contains(np.sort(frame_of(places)), self.place) & (mendable | ~still)
        found: Bools = contains(own, places) | contains(whole, frame_of(places))
        return found

    def said(self, places: Ints, outcome: str) -> Bools:
        """Say of which places a replay has said this."""
        return contains(self.place[self._with_outcome(outcome)], places)

    def reasons(self, place: int) -> tuple[str, ...]:
        """Why a place is quarantined."""
        return self._names[int(self._why[self._at(place)])]

    def conflicts(self, place: int) -> bool:
        """Whether a place is quarantined because silver holds its key with other values."""
        outcome, _ = self._said[int(self._judged[self._at(place)])]
        return outcome == SAID_CONFLICT or (outcome is None and self.reasons(place) == (CONFLICT,))

    def mendable(self, place: int) -> bool:
        """Whether other rules have judged a place, or only a name was not known when it was judged."""
        return bool(self._mendable()[self._at(place)])

    def check_outcomes(self, bad: Ints, places: Places, tally: Tally) -> None:
        """Find outcomes that no replay gives, and bad rows of which one says more than that they are bad.

        Args:
            bad: places that the audit itself refuses.
            places: numbers of places.
            tally: of the check.
        """
        tally.count(int((~self._with_outcome(None)).sum()))
        strange = self.place[~self._with_outcome(*_OUTCOMES)]
        tally.fail(len(strange), (f"no outcome of a replay: {places.text(place)}" for place in strange.tolist()))
        good = self.place[self._with_outcome(SAID_CONFLICT) & contains(np.sort(bad), self.place)]
        tally.fail(len(good), (f"a bad row said to be a {SAID_CONFLICT}: {places.text(p)}" for p in good.tolist()))

    def check_keys(self, places: Places, tally: Tally) -> None:
        """Find places that are quarantined more than once."""
        tally.count(len(self.place))
        doubled = self.place[1:][self.place[1:] == self.place[:-1]]
        tally.fail(len(doubled), (f"twice: {places.text(place)}" for place in doubled.tolist()))

    def unexplained(self) -> Ints:
        """The places that nothing asked for with `holds`; a replayed frame without rows needs nothing to explain it."""
        whole = (self.place == frame_of(self.place)) & self._of_bronze & ~self._with_outcome(*_STILL_BAD)
        result: Ints = self.place[~self._explained & ~whole]
        return result

    def _mendable(self) -> Bools:
        other = [number for number, (_, version) in self._said.items() if version != RULE_VERSION]
        unknown = [number for number, names in self._names.items() if _MENDABLE.issuperset(names)]
        result: Bools = np.isin(self._judged, other) | np.isin(self._why, unknown)
        return result

    def _with_outcome(self, *outcomes: str | None) -> Bools:
        numbers = [number for number, (outcome, _) in self._said.items() if outcome in outcomes]
        result: Bools = np.isin(self._judged, numbers)
        return result

    def _at(self, place: int) -> int:
        at = int(np.searchsorted(self.place, place))
        own = at < len(self.place) and int(self.place[at]) == place
        return at if own else int(np.searchsorted(self.place, frame_of(place)))


def digest_of(payload: bytes | None) -> int:
    """64 bits that two different payloads do not share by accident."""
    return int.from_bytes(hashlib.blake2b(payload or b"", digest_size=8).digest(), "little", signed=True)


def _joined(parts: Sequence[object]) -> Ints:
    arrays = [np.asarray(part, dtype=np.int64) for part in parts]
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)
