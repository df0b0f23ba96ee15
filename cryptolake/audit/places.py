"""Where a row came from, as one number: exact, sortable, eight bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cryptolake.audit.spill import Ints
from lakehouse.errors import CryptolakeError

Bools = NDArray[np.bool_]
Number = TypeVar("Number", int, Ints)

_ROW_BITS, _OFFSET_BITS, _STREAM_BITS = 20, 34, 9
_PARTITIONS = 1 << 10


class Places:
    """Numbers for (topic_id, partition, offset, row); row -1, the whole frame, sorts before row 0."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, int], int] = {}
        self._names: list[tuple[str, int]] = []
        self._topic_ids: list[str | None] = []

    def frames(self, batch: Any) -> Ints:
        """Give the numbers of the frames (their row -1).

        Args:
            batch: with topic_id, partition and offset.

        Raises:
            CryptolakeError: an offset or the number of partitions is beyond what the audit can tell apart.
        """
        streams = self._stream_numbers(batch.column("topic_id"), batch.column("partition"))
        offsets: Ints = batch.column("offset").to_numpy(zero_copy_only=False).astype(np.int64)
        if len(offsets) and (int(offsets.max()) >= 1 << _OFFSET_BITS or int(offsets.min()) < 0):
            raise CryptolakeError(f"An offset is outside 0..{1 << _OFFSET_BITS}: the audit cannot tell it apart")
        return (streams << (_ROW_BITS + _OFFSET_BITS)) | (offsets << _ROW_BITS)

    def rows(self, batch: Any) -> Ints:
        """Give the numbers of rows.

        Args:
            batch: with topic_id, partition, offset and row.
        """
        row: Ints = batch.column("row").to_numpy(zero_copy_only=False).astype(np.int64)
        return self.frames(batch) + row + 1

    def stream(self, stream: int) -> tuple[str, int]:
        """Give the topic id and partition of a number."""
        return self._names[stream]

    def stream_name(self, stream: int) -> str:
        """Name a topic id and partition."""
        topic_id, partition = self._names[stream]
        return f"topic id {topic_id}, partition {partition}"

    def text(self, place: int) -> str:
        """Write a place for a reader."""
        row = row_of(place)
        where = f"{self.stream_name(stream_of(place))}, offset {offset_of(place)}"
        return where if row < 0 else f"{where}, row {row}"

    def _stream_numbers(self, topic_ids: Any, partitions: Any) -> Ints:
        pairs = pa.table({"t": topic_ids, "p": partitions}).group_by(["t", "p"]).aggregate([]).to_pylist()
        for pair in pairs:
            name = (pair["t"], pair["p"])
            if name not in self._streams:
                self._streams[name] = len(self._names)
                self._names.append(name)
                if name[0] not in self._topic_ids:
                    self._topic_ids.append(name[0])
        beyond = any(partition >= _PARTITIONS for _, partition in self._names)
        if beyond or len(self._names) >= 1 << _STREAM_BITS:
            raise CryptolakeError(f"More than {1 << _STREAM_BITS} Kafka partitions: the audit cannot tell them apart")
        topic = pc.index_in(topic_ids, value_set=pa.array(self._topic_ids, pa.string())).to_numpy(zero_copy_only=False)
        partition = partitions.to_numpy(zero_copy_only=False)
        table = np.full(len(self._topic_ids) * _PARTITIONS, -1, dtype=np.int64)
        for (topic_id, number), stream in self._streams.items():
            table[self._topic_ids.index(topic_id) * _PARTITIONS + number % _PARTITIONS] = stream
        result: Ints = table[topic.astype(np.int64) * _PARTITIONS + partition.astype(np.int64) % _PARTITIONS]
        return result


class Floor:
    """From which offset on bronze was read, by topic id and partition.

    Args:
        first: the least offset read, by number of topic id and partition.
        since: only what came since a moment was read, so what is not among them lies below, too.
    """

    def __init__(self, first: Mapping[int, int], since: bool) -> None:
        self.since = since
        self._first = first
        self._other = 1 << _OFFSET_BITS if since else -1

    def below(self, places: Ints) -> Bools:
        """Say which places lie before what was read."""
        streams = stream_of(places)
        least = [self._first.get(stream, self._other) for stream in range(int(streams.max(initial=0)) + 1)]
        result: Bools = offset_of(places) < np.asarray(least, dtype=np.int64)[streams]
        return result


def frame_of(place: Number) -> Number:
    """Give the place of the whole frame."""
    return place >> _ROW_BITS << _ROW_BITS


def row_of(place: Number) -> Number:
    """Give the row of a place."""
    return (place & ((1 << _ROW_BITS) - 1)) - 1


def offset_of(place: Number) -> Number:
    """Give the offset of a place."""
    return (place >> _ROW_BITS) & ((1 << _OFFSET_BITS) - 1)


def stream_of(place: Number) -> Number:
    """Give the number of the topic id and partition of a place."""
    return place >> (_ROW_BITS + _OFFSET_BITS)


def contains(held: Ints, wanted: Ints) -> Bools:
    """Say for each wanted number whether it is among the held ones.

    Args:
        held: sorted.
        wanted: in any order.
    """
    if not len(held):
        return np.zeros(len(wanted), dtype=np.bool_)
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    result: Bools = held[at] == wanted
    return result
