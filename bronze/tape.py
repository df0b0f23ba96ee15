"""Replays a recorded tape through the spool and topics of a live collector."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bronze.frames import oversize_marker
from bronze.outbox import outbox
from bronze.record import Record
from bronze.venues import venue_of
from bronze.venues.protocol import OVERSIZE, Venue
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

_RECORDED, _SENT = b'{"t":"recv","conn":', b'{"t":"send","conn":'
_GZIP_MAGIC = b"\x1f\x8b"
# A wrapper's time outside this range (1970 to 2100) is no time in nanoseconds.
_LATEST_NS = 4_102_444_800_000_000_000


@dataclass(frozen=True)
class Replayed:
    """What a replay published.

    Args:
        session_id: sha256 of the tape's content, the same for a plain and a packed copy.
        frames: how many lines.
        topics: how many of them to each topic.
    """

    session_id: str
    frames: int
    topics: dict[str, int]


def replay(tape: Path, source: str, settings: Settings, bootstrap_servers: str) -> Replayed:
    """Publish a tape, and wait until Kafka has all of it.

    The session is the sha256 of the content and the sequence is the line number, so a second replay changes nothing
    below bronze.

    Args:
        tape: JSON lines, plain or gzip: `{"received_ns": ..., "frame": "..."}`, or as cryptofeed records them,
            `{"t": "recv", "ts": seconds, "data": "..."}` (what it sent is left out), or bare frames, which count as
            received now. A wrapper that cannot be read is published as it stands, for silver to judge.
        source: whose frames they are: binance, bybit or coincap.
        settings: the whole tree.
        bootstrap_servers: the brokers.

    Raises:
        CryptolakeError: no such source or tape, or Kafka does not take it.
    """
    venue = venue_of(source)
    session_id = _sha256(tape)
    topics: Counter[str] = Counter()
    with outbox(settings, bootstrap_servers, f"replay-{source}") as out:
        for number, line in _lines(tape):
            if _is_sent(line):
                continue
            record = _record(venue, line, number, session_id, settings)
            out.put(record)
            topics[record.topic] += 1
        out.flush()
    return Replayed(session_id, topics.total(), dict(topics))


def _record(venue: Venue, line: bytes, number: int, session_id: str, settings: Settings) -> Record:
    frame, received_at_us = _unwrapped(line)
    envelope = venue.envelope(frame, None)
    channel = envelope.channel
    if len(frame) > settings.collector.oversize_bytes:
        channel, frame = OVERSIZE, oversize_marker(frame, settings.collector.oversize_head_bytes)
    return Record(envelope.venue, channel, envelope.key, session_id, number, received_at_us, "replay", frame)


def _is_sent(line: bytes) -> bool:
    """Whether a recorder notes what it said itself."""
    return line.startswith(_SENT)


def _unwrapped(line: bytes) -> tuple[bytes, int]:
    """The frame's bytes and its receive time in UTC microseconds."""
    now_us = time.time_ns() // 1000
    recorded = line.startswith(_RECORDED)
    if not recorded and (b'"received_ns"' not in line or b'"frame"' not in line):
        return line, now_us
    try:
        wrapper = json.loads(line)
        frame = wrapper["data" if recorded else "frame"].encode()
        received_ns = round(wrapper["ts"] * 1_000_000) * 1000 if recorded else wrapper["received_ns"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return line, now_us
    timed = type(received_ns) is int and 0 < received_ns < _LATEST_NS
    return frame, received_ns // 1000 if timed else now_us


def _lines(tape: Path) -> Iterator[tuple[int, bytes]]:
    """Line numbers, from 1, and lines without their end; empty lines are left out."""
    with _opened(tape) as file:
        try:
            for number, line in enumerate(file, start=1):
                text = line.rstrip(b"\r\n")
                if text:
                    yield number, text
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CryptolakeError(f"The tape {tape} is damaged ({error})", "Fetch it again.") from None


def _sha256(tape: Path) -> str:
    digest = hashlib.sha256()
    with _opened(tape) as file:
        try:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CryptolakeError(f"The tape {tape} is damaged ({error})", "Fetch it again.") from None
    return digest.hexdigest()


def _opened(tape: Path) -> IO[bytes]:
    try:
        with tape.open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC
        return gzip.open(tape, "rb") if packed else tape.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise CryptolakeError(f"The tape {tape} cannot be read ({error.strerror})", "Check the path.") from None
