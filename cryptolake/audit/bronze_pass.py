"""One reading of bronze: its offsets, and what every row of it must have become."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.heard import Heard
from cryptolake.audit.id_gaps import Lost
from cryptolake.audit.judge import Judge
from cryptolake.audit.judged import Bad, Frame, Judged
from cryptolake.audit.kinds import KINDS, TIME, Kind
from cryptolake.audit.places import Bools, Places, offset_of, stream_of
from cryptolake.audit.quarantine import Quarantine, digest_of
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.snapshot import PinnedTable
from cryptolake.audit.spill import Ints, Spill
from cryptolake.audit.symbols import Names

_COLUMNS = {
    "topic_id": pa.string(),
    "topic": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "venue": pa.string(),
    "channel": pa.string(),
    "key": pa.string(),
    "session_id": pa.string(),
    "sequence": pa.int64(),
    "received_at": TIME,
    "origin": pa.string(),
    "payload": pa.binary(),
}


@dataclass
class _Rows:
    """Numbers that pile up in pieces."""

    pieces: list[Ints] = field(default_factory=list)

    def add(self, piece: Ints) -> None:
        self.pieces.append(piece)

    def all(self) -> Ints:
        joined: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *self.pieces])
        self.pieces = [joined]
        return joined


class BronzePass:
    """Reads bronze once.

    Args:
        table: bronze.frames.
        in_flight: its files that refine has not consumed.
        places: numbers of places.
        quarantine: to compare raw bytes.
        names: what symbols may stand for.
        folder: for rows put aside.
        parts: into how many parts.
        batch_bytes: how much is read at once.
        examples: failures shown per check.
    """

    def __init__(
        self,
        table: PinnedTable,
        in_flight: Collection[str],
        places: Places,
        quarantine: Quarantine,
        names: Names,
        folder: Path,
        parts: int,
        batch_bytes: int,
        examples: int,
    ) -> None:
        self.spills = {kind: Spill(folder, f"bronze.{kind.table}", kind.expected_schema, parts) for kind in KINDS}
        self._names = names
        self.heard = Heard()
        self.lost: list[Lost] = []
        self.frames = self.control = self.frames_in_flight = 0
        self.why: dict[str, int] = {}
        self.raw_bytes = Tally("silver.quarantine bytes", "the raw bytes are those of bronze", examples)
        self._places = places
        self._quarantine = quarantine
        self._examples = examples
        self._offsets = _Rows()
        self._topics: dict[str, set[str]] = {}
        self._bad, self._bad_why, self._bad_in_flight, self._arrays = _Rows(), _Rows(), _Rows(), _Rows()
        judge = Judge()
        for waits, batch in table.batches(_COLUMNS, batch_bytes, in_flight):
            self._take(batch, judge, waits)

    def bad(self) -> tuple[Ints, Ints, Bools]:
        """Places that belong into quarantine, the number of each one's reason, and whether it is in flight."""
        return self._bad.all(), self._bad_why.all(), self._bad_in_flight.all().astype(np.bool_)

    def arrays(self) -> Ints:
        """Places of frames of many rows, sorted."""
        return np.sort(self._arrays.all())

    def first_held(self) -> dict[int, int]:
        """The least offset by stream number."""
        held: dict[int, int] = {}
        for stream, offsets in self._by_stream():
            held[stream] = int(offsets[0])
        return held

    def offset_checks(self, accepted: Iterable[str]) -> list[CheckResult]:
        """Check that offsets have no hole and no double, and that no topic was made anew unnoticed.

        Args:
            accepted: topics that were made anew on purpose.
        """
        whole = Tally("bronze.frames offsets", "contiguous from the first held, none twice", self._examples)
        for stream, offsets in self._by_stream():
            whole.count(len(offsets))
            steps = np.diff(offsets)
            name = self._places.stream_name(stream)
            doubled, holes = np.flatnonzero(steps == 0), np.flatnonzero(steps > 1)
            whole.fail(len(doubled), (f"{name}: offset {offsets[at]} twice" for at in doubled.tolist()))
            missing = int((steps[holes] - 1).sum())
            spans = ((offsets[at] + 1, offsets[at + 1] - 1) for at in holes.tolist())
            whole.fail(missing, (f"{name}: offsets {start} to {end} missing" for start, end in spans))
            whole.note("offsets before the first one held", int(offsets[0]) if len(offsets) else 0)
        topics = Tally("bronze.frames topic ids", "one id a topic, but where accepted", self._examples)
        topics.count(len(self._topics))
        anew = [topic for topic, ids in self._topics.items() if len(ids) > 1 and topic not in set(accepted)]
        topics.fail(len(anew), (f"{topic}: ids {', '.join(sorted(self._topics[topic]))}" for topic in anew))
        return [whole.result(), topics.result()]

    def _by_stream(self) -> Iterable[tuple[int, Ints]]:
        places = np.sort(self._offsets.all())
        self._offsets.pieces = [places]
        streams = stream_of(places)
        for stream in np.unique(streams).tolist():
            low, high = np.searchsorted(streams, [stream, stream + 1])
            yield stream, offset_of(places[low:high])

    def _take(self, batch: Any, judge: Judge, in_flight: bool) -> None:
        frames = self._places.frames(batch)
        self.frames += len(frames)
        self.frames_in_flight += len(frames) if in_flight else 0
        self._offsets.add(frames)
        names = pa.table({name: batch.column(name) for name in ("topic", "topic_id")})
        for pair in names.group_by(["topic", "topic_id"]).aggregate([]).to_pylist():
            self._topics.setdefault(str(pair["topic"]), set()).add(str(pair["topic_id"]))
        self._compare_bytes(frames, batch)
        judged = Judged(names=self._names)
        names = ("venue", "channel", "key", "session_id", "sequence", "received_at", "origin", "payload")
        columns = [batch.column(n).cast(pa.int64()) if n == "received_at" else batch.column(n) for n in names]
        for index, values in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
            judge.judge(index, Frame(*values), judged)
        self.control += judged.control
        self.lost += [Lost(*ids, in_flight) for ids in judged.lost]
        self._arrays.add(frames[np.asarray(judged.arrays, dtype=np.int64)])
        self._keep_bad(frames, judged.bad, in_flight)
        for kind in KINDS:
            rows = getattr(judged, kind.name)
            if rows:
                expected = _expected(kind, rows, batch, frames, in_flight)
                self.spills[kind].write(expected, kind.spread(expected))
                self.heard.take(kind, expected)

    def _compare_bytes(self, frames: Ints, batch: Any) -> None:
        payloads = batch.column("payload")
        for at, digests in self._quarantine.digests(frames):
            self.raw_bytes.count(len(digests))
            wrong = int((digests != digest_of(payloads[at].as_py())).sum())
            self.raw_bytes.fail(wrong, [f"other bytes than bronze: {self._places.text(int(frames[at]))}"])

    def _keep_bad(self, frames: Ints, bad: list[Bad], in_flight: bool) -> None:
        index = np.asarray([item.frame for item in bad], dtype=np.int64)
        # A frame of one row that cannot be read is its row 0.
        row = np.asarray([max(item.row, 0) for item in bad], dtype=np.int64)
        self._bad.add(frames[index] + row + 1)
        self._bad_why.add(np.asarray([self.why.setdefault(item.why, len(self.why)) for item in bad], dtype=np.int64))
        self._bad_in_flight.add(np.full(len(bad), in_flight, dtype=np.int64))


def _expected(kind: Kind, rows: list[tuple[Any, ...]], batch: Any, frames: Ints, in_flight: bool) -> Any:
    index, row, *parsed = zip(*rows, strict=True)
    taken = pa.array(index, pa.int64())
    arrays = {
        "place": pa.array(frames[np.asarray(index)] + np.asarray(row) + 1),
        "in_flight": pa.array(np.full(len(index), in_flight)),
    }
    arrays |= {name: batch.column(name).take(taken) for name in kind.carried}
    for (name, wanted), values in zip(kind.parsed.items(), parsed, strict=True):
        arrays[name] = _array(values, wanted)
    return pa.RecordBatch.from_pydict(arrays, schema=kind.expected_schema)


def _array(values: Iterable[Any], wanted: Any) -> Any:
    if pa.types.is_decimal(wanted):  # from text to the column's type, which must not lose a digit
        return pc.cast(pa.array(values, pa.string()), wanted)
    if pa.types.is_timestamp(wanted):
        return pa.array(values, pa.int64()).cast(wanted)
    return pa.array(values, wanted)
