"""One reading of bronze: its offsets, and what every row of it must have become."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.batches import CONTROL, ROWS, Batches
from cryptolake.audit.heads import OffsetsBefore, offsets_before
from cryptolake.audit.heard import Heard
from cryptolake.audit.id_gaps import Lost
from cryptolake.audit.judge import Judge
from cryptolake.audit.judged import Bad, Frame, Judged
from cryptolake.audit.kinds import KINDS, TIME, Kind
from cryptolake.audit.places import Bools, Floor, Places, offset_of, stream_of
from cryptolake.audit.quarantine import Quarantine, digest_of
from cryptolake.audit.reach import Since, Touched
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.snapshot import Snapshot
from cryptolake.audit.spill import Ints, Spill
from cryptolake.audit.symbols import Names
from lakehouse.settings import AuditSettings

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
    "ingested_at": TIME,
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
        snapshot: the pinned tables.
        since: from when on frames are read; None reads all.
        places: numbers of places.
        quarantine: to compare raw bytes.
        names: what symbols may stand for.
        folder: for rows put aside.
        parts: into how many parts.
        limits: how much is read at once, how many failures are shown.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        since: Since | None,
        places: Places,
        quarantine: Quarantine,
        names: Names,
        folder: Path,
        parts: int,
        limits: AuditSettings,
    ) -> None:
        self.spills = {kind: Spill(folder, f"bronze.{kind.table}", kind.expected_schema, parts) for kind in KINDS}
        self.touched = Touched() if since else None
        self.batches = Batches(places, limits.examples, limits.batches)
        self._names = names
        self.heard = Heard()
        self.lost: list[Lost] = []
        self.frames = self.control = self.frames_in_flight = 0
        self.first_in_flight_us: int | None = None
        self.why: dict[str, int] = {}
        self.raw_bytes = Tally("silver.quarantine bytes", "the raw bytes are those of bronze", limits.examples)
        self._table = snapshot.frames
        self._since = since
        self._places = places
        self._quarantine = quarantine
        self._limits = limits
        self._offsets = _Rows()
        self._topics: dict[str, set[str]] = {}
        self._topic_of: dict[int, str] = {}
        self._bad, self._bad_why, self._bad_in_flight, self._arrays = _Rows(), _Rows(), _Rows(), _Rows()
        judge, where = Judge(), since.frames() if since else None
        for waits, batch in self._table.batches(_COLUMNS, limits.batch_bytes, snapshot.frames_in_flight(), where):
            self._take(batch, judge, waits)

    def bad(self) -> tuple[Ints, Ints, Bools]:
        """Places that belong into quarantine, the number of each one's reason, and whether it is in flight."""
        return self._bad.all(), self._bad_why.all(), self._bad_in_flight.all().astype(np.bool_)

    def arrays(self) -> Ints:
        """Places of frames of many rows, sorted."""
        return np.sort(self._arrays.all())

    def floor(self) -> Floor:
        """From which offset on bronze was read."""
        return Floor({stream: int(offsets[0]) for stream, offsets in self._by_stream()}, self._since is not None)

    def offset_checks(self, accepted: Iterable[str], lost: Collection[str] = ()) -> list[CheckResult]:
        """Check that offsets have no hole and no double, and that no topic was made anew unnoticed.

        Args:
            accepted: topics that were made anew on purpose.
            lost: topics of which Kafka has dropped records that bronze never had, as their owner knows.
        """
        whole = Tally(
            "bronze.frames offsets",
            "contiguous from the first held, but where accepted; none twice",
            self._limits.examples,
        )
        first = {stream: int(offsets[0]) for stream, offsets in self._by_stream()}
        before = self._before(first)
        for stream, offsets in self._by_stream():
            whole.count(len(offsets))
            steps = np.diff(offsets)
            name = self._places.stream_name(stream)
            doubled = np.flatnonzero(steps == 0)
            whole.fail(len(doubled), (f"{name}: offset {offsets[at]} twice" for at in doubled.tolist()))
            spans = [(int(offsets[at]) + 1, int(offsets[at + 1]) - 1) for at in np.flatnonzero(steps > 1).tolist()]
            last_before = before.greatest.get(stream, -1)
            if last_before >= 0:
                spans[:0] = [(last_before + 1, first[stream] - 1)] if last_before + 1 < first[stream] else []
            elif before.cut and first[stream]:
                whole.note("partitions not joined onto the offsets before", 1)
            else:
                whole.note("offsets before the first one held", first[stream])
            missing = sum(end - start + 1 for start, end in spans)
            if missing and self._topic_of[stream] in lost:
                whole.note("offsets lost by Kafka, as accepted", missing)
                continue
            whole.fail(missing, (f"{name}: offsets {start} to {end} missing" for start, end in spans))
        return [whole.result(), self._topic_check(accepted, before)]

    def _before(self, first: Mapping[int, int]) -> OffsetsBefore:
        if self._since is None:
            return OffsetsBefore()
        begun = {self._topic_of[stream] for stream, offset in first.items() if not offset}
        limits = self.frames + self._limits.rows_per_part, self._limits.batch_bytes
        return offsets_before(self._table, self._since, self._places, first, begun, limits)

    def _topic_check(self, accepted: Iterable[str], before: OffsetsBefore) -> CheckResult:
        topics = Tally("bronze.frames topic ids", "one id a topic, but where accepted", self._limits.examples)
        topics.count(len(self._topics))
        ids = {
            topic: held | {own for name, own in before.topics if name == topic} for topic, held in self._topics.items()
        }
        anew = [topic for topic, held in ids.items() if len(held) > 1 and topic not in set(accepted)]
        topics.fail(len(anew), (f"{topic}: ids {', '.join(sorted(ids[topic]))}" for topic in anew))
        return topics.result()

    def _by_stream(self) -> Iterable[tuple[int, Ints]]:
        places = np.sort(self._offsets.all())
        self._offsets.pieces = [places]
        streams = stream_of(places)
        for stream in np.unique(streams).tolist():
            low, high = np.searchsorted(streams, [stream, stream + 1])
            yield stream, offset_of(places[low:high])

    def _take(self, batch: Any, judge: Judge, in_flight: bool) -> None:
        frames = self._places.frames(batch)
        numbers = self._land(batch, frames, in_flight)
        self._compare_bytes(frames, batch)
        judged = Judged(names=self._names)
        names = ("venue", "channel", "key", "session_id", "sequence", "received_at", "origin", "payload")
        columns = [batch.column(n).cast(pa.int64()) if n == "received_at" else batch.column(n) for n in names]
        for index, values in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
            judge.judge(index, Frame(*values), judged)
        self.control += len(judged.control)
        for figure in (ROWS, CONTROL):
            self.batches.count(figure, numbers[np.asarray(judged.control, dtype=np.int64)])
        self.lost += [Lost(*ids, in_flight) for ids in judged.lost]
        self._arrays.add(frames[np.asarray(judged.arrays, dtype=np.int64)])
        self._keep_bad(frames, numbers, judged.bad, in_flight)
        for kind in KINDS:
            rows = getattr(judged, kind.name)
            if rows:
                expected = _expected(kind, rows, batch, frames, in_flight)
                self.batches.count(ROWS, numbers[np.asarray([row[0] for row in rows], dtype=np.int64)])
                self.spills[kind].write(expected, kind.spread(expected))
                self.heard.take(kind, expected)
                if self.touched:
                    self.touched.add_rows(kind, expected)

    def _land(self, batch: Any, frames: Ints, in_flight: bool) -> Ints:
        self.frames += len(frames)
        self._offsets.add(frames)
        names = pa.table({name: batch.column(name) for name in ("topic", "topic_id")})
        names = names.append_column("stream", pa.array(stream_of(frames)))
        for pair in names.group_by(["topic", "topic_id", "stream"]).aggregate([]).to_pylist():
            self._topics.setdefault(str(pair["topic"]), set()).add(str(pair["topic_id"]))
            self._topic_of[pair["stream"]] = str(pair["topic"])
        times = pc.fill_null(batch.column("ingested_at").cast(pa.int64()), 0)
        ingested = np.asarray(times.to_numpy(zero_copy_only=False), dtype=np.int64)
        if in_flight and len(frames):
            self.frames_in_flight += len(frames)
            self.first_in_flight_us = min(int(ingested.min()), self.first_in_flight_us or int(ingested.min()))
        if self.touched:
            self.touched.add_frames(batch)
        return self.batches.add_frames(frames, ingested)

    def _compare_bytes(self, frames: Ints, batch: Any) -> None:
        payloads = batch.column("payload")
        for at, digests in self._quarantine.digests(frames):
            self.raw_bytes.count(len(digests))
            wrong = int((digests != digest_of(payloads[at].as_py())).sum())
            self.raw_bytes.fail(wrong, [f"other bytes than bronze: {self._places.text(int(frames[at]))}"])

    def _keep_bad(self, frames: Ints, numbers: Ints, bad: list[Bad], in_flight: bool) -> None:
        index = np.asarray([item.frame for item in bad], dtype=np.int64)
        # A frame of one row that cannot be read is its row 0.
        row = np.asarray([max(item.row, 0) for item in bad], dtype=np.int64)
        self._bad.add(frames[index] + row + 1)
        self.batches.count(ROWS, numbers[index])
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
