"""One record of the spool: a frame with what is known about it, and its form on disk."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

Origin = Literal["stream", "backfill", "replay"]
NO_ID = -1
# A longer length field is damage: the longest body the collector writes is a frame of collector.max_frame_bytes.
_LONGEST_BODY = 64 * 1024 * 1024
_PREFIX = struct.Struct("<II")  # length and CRC32 of what follows
_FIXED = struct.Struct("<QQQqqBBHBBB")


class Position(NamedTuple):
    """A place in the spool: the number of a segment file, and an offset in it."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """One frame on its way to Kafka.

    Args:
        venue: the market, e.g. binance or coincap-bitso.
        channel: trade, kline, gap, control or oversize; with the venue it names the topic.
        key: Kafka message key: stream or symbol.
        session_id: ULID of the connection or fill, or sha256 of a tape.
        sequence: place in the session.
        received_at_us: when it was received, UTC microseconds.
        origin: stream, backfill or replay.
        payload: the frame's bytes.
        symbol: whose numbers the frame holds; empty when it holds none.
        first_id: the first id held, or the first number of the venue's own order.
        last_id: the last one held; every one between is held too.
        event_time_us: the venue's time of the frame where ids do not rise by one; 0 where they do, or when unknown.
    """

    venue: str
    channel: str
    key: str
    session_id: str
    sequence: int
    received_at_us: int
    origin: str
    payload: bytes
    symbol: str = ""
    first_id: int = NO_ID
    last_id: int = NO_ID
    event_time_us: int = 0

    @property
    def topic(self) -> str:
        """The Kafka topic."""
        return f"{self.venue}.{self.channel}"


def encode(record: Record) -> bytes:
    """Write a record as length, CRC32 and body."""
    venue, channel, key = record.venue.encode(), record.channel.encode(), record.key.encode()
    session, origin, symbol = record.session_id.encode(), record.origin.encode(), record.symbol.encode()
    fixed = _FIXED.pack(
        record.received_at_us,
        record.sequence,
        record.event_time_us,
        record.first_id,
        record.last_id,
        len(venue),
        len(channel),
        len(key),
        len(session),
        len(origin),
        len(symbol),
    )
    body = b"".join((fixed, venue, channel, key, session, origin, symbol, record.payload))
    return _PREFIX.pack(len(body), zlib.crc32(body)) + body


def decode(data: bytes, offset: int) -> tuple[Record, int] | None:
    """Read the record at an offset.

    Returns:
        the record and the offset after it, or None when no whole, undamaged record is there.
    """
    start = offset + _PREFIX.size
    if start > len(data):
        return None
    length, checksum = _PREFIX.unpack_from(data, offset)
    end = start + length
    # Zeros, as a power cut may leave them, would be an empty body with the right checksum.
    if not _FIXED.size <= length <= _LONGEST_BODY or end > len(data):
        return None
    body = data[start:end]
    if zlib.crc32(body) != checksum:
        return None
    received, sequence, event_time, first, last, *lengths = _FIXED.unpack_from(body)
    texts, at = [], _FIXED.size
    for size in lengths:
        texts.append(body[at : at + size].decode())
        at += size
    venue, channel, key, session, origin, symbol = texts
    return (
        Record(venue, channel, key, session, sequence, received, origin, body[at:], symbol, first, last, event_time),
        end,
    )


def length_needed(data: bytes, offset: int) -> int:
    """How many bytes from the offset on the record there takes, by its length field (the prefix alone when cut off)."""
    if offset + _PREFIX.size > len(data):
        return _PREFIX.size
    length: int = _PREFIX.unpack_from(data, offset)[0]
    return _PREFIX.size + length
