"""silver.quarantine in a few numbers per row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cryptolake.audit.kinds import PLACE_COLUMNS
from cryptolake.audit.places import Bools, Places, contains, frame_of
from cryptolake.audit.result import Tally
from cryptolake.audit.snapshot import PinnedTable
from cryptolake.audit.spill import Ints

CONFLICT = "conflicting_duplicate"


class Quarantine:
    """Every quarantined row: where it came from, why, and a digest of its bytes.

    Args:
        table: the pinned table.
        places: numbers of places.
        batch_bytes: how much is read at once.
    """

    def __init__(self, table: PinnedTable, places: Places, batch_bytes: int) -> None:
        self._reasons: dict[tuple[str, ...], int] = {}
        place, why, released, digest = [], [], [], []
        columns = {
            **PLACE_COLUMNS,
            "reasons": pa.list_(pa.string()),
            "outcome": pa.string(),
            "payload": pa.binary(),
        }
        for _, batch in table.batches(columns, batch_bytes):
            place.append(places.rows(batch))
            reasons = [tuple(sorted(row or ())) for row in batch.column("reasons").to_pylist()]
            why.append([self._reasons.setdefault(row, len(self._reasons)) for row in reasons])
            released.append(batch.column("outcome").is_valid().to_numpy(zero_copy_only=False))
            digest.append([digest_of(payload) for payload in batch.column("payload").to_pylist()])
        order = np.argsort(_joined(place), kind="stable")
        self.place: Ints = _joined(place)[order]
        self._why: Ints = _joined(why)[order]
        self._released: Bools = _joined(released).astype(np.bool_)[order]
        self._digest: Ints = _joined(digest)[order]
        self._explained: Bools = np.zeros(len(order), dtype=np.bool_)
        self._names = {number: names for names, number in self._reasons.items()}

    def settle_rows(self, arrays: Ints) -> None:
        """Call row 0 what was quarantined as a whole frame but is a frame of one row.

        Args:
            arrays: frames of many rows, sorted.
        """
        whole = (self.place == frame_of(self.place)) & ~contains(arrays, self.place)
        order = np.argsort(self.place + whole, kind="stable")
        for name in ("place", "_why", "_released", "_digest", "_explained"):
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
        first, last = np.searchsorted(own, frames), np.searchsorted(own, frames, side="right")
        return [(at, self._digest[first[at] : last[at]]) for at in np.flatnonzero(last > first).tolist()]

    def holds(self, places: Ints) -> Bools:
        """Say which places are quarantined, and remember that these have a reason to be."""
        found = contains(self.place, places)
        self._explained |= contains(np.sort(places), self.place)
        return found

    def reasons(self, place: int) -> tuple[str, ...]:
        """Why a place is quarantined."""
        return self._names[int(self._why[np.searchsorted(self.place, place)])]

    def released(self, place: int) -> bool:
        """Whether a replay has dealt with a place."""
        return bool(self._released[np.searchsorted(self.place, place)])

    def check_keys(self, places: Places, tally: Tally) -> None:
        """Find places that are quarantined more than once."""
        tally.count(len(self.place))
        doubled = self.place[1:][self.place[1:] == self.place[:-1]]
        tally.fail(len(doubled), (f"twice: {places.text(place)}" for place in doubled.tolist()))

    def unexplained(self) -> Ints:
        """The places that nothing asked for with `holds`."""
        result: Ints = self.place[~self._explained]
        return result


def digest_of(payload: bytes | None) -> int:
    """64 bits that two different payloads do not share by accident."""
    return int.from_bytes(hashlib.blake2b(payload or b"", digest_size=8).digest(), "little", signed=True)


def _joined(parts: Sequence[object]) -> Ints:
    arrays = [np.asarray(part, dtype=np.int64) for part in parts]
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)
