"""Which records were handed to Kafka, and up to which one all of them are acknowledged."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from bronze.record import Position


@dataclass(slots=True)
class _Sent:
    after: Position
    size: int
    acked: bool = False


class AckWindow:
    """The records between the first unacknowledged one and the last sent one.

    Acknowledgements come in any order, from the producer's thread; the prefix grows only over a run without a hole.

    Args:
        prefix: the place before which everything is acknowledged.
    """

    def __init__(self, prefix: Position) -> None:
        self._sent: dict[Position, _Sent] = {}
        self._changed = threading.Condition()
        self._prefix = prefix
        self._unacked = 0
        self._unacked_bytes = 0

    def add(self, place: Position, after: Position, size: int) -> None:
        """Note a record as sent; places come in their order, and one that is known is not counted again."""
        with self._changed:
            if place not in self._sent:
                self._sent[place] = _Sent(after, size)
                self._unacked += 1
                self._unacked_bytes += size

    def ack(self, place: Position) -> None:
        """Note a record as acknowledged; doing it twice does no harm."""
        with self._changed:
            sent = self._sent.get(place)
            if sent is None or sent.acked:
                return
            sent.acked = True
            self._unacked -= 1
            self._unacked_bytes -= sent.size
            while self._sent:
                first = next(iter(self._sent))
                if not self._sent[first].acked:
                    break
                self._prefix = self._sent.pop(first).after
            self._changed.notify_all()

    def wait_for_room(self, most: int, most_bytes: int, timeout_s: float) -> bool:
        """Wait until fewer than `most` records and `most_bytes` are unacknowledged; return whether they are."""
        if self._unacked < most and self._unacked_bytes < most_bytes:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: self._unacked < most and self._unacked_bytes < most_bytes, timeout_s)

    def waits_for(self, place: Position) -> bool:
        """Say whether the record at a place was sent and is not acknowledged."""
        with self._changed:
            sent = self._sent.get(place)
            return sent is not None and not sent.acked

    @property
    def prefix(self) -> Position:
        """The place before which everything is acknowledged."""
        return self._prefix

    @property
    def unacked(self) -> int:
        """How many records are sent and not acknowledged."""
        return self._unacked
