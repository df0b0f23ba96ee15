"""The open websockets: who listens to what, and how a message reaches them without ever waiting for one of them."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from simulator.wire import Outgoing, close_frame, combined, websocket_frame


@dataclass(eq=False)
class Connection:
    """One websocket.

    Args:
        venue: `binance`, `coincap-bitso`, ...
        transport: its socket; frames are written to it whole, so none is ever cut by another.
        streams: what it listens to.
        combined: whether bodies are wrapped with their stream's name.
        micro: whether times are in microseconds.
    """

    venue: str
    transport: asyncio.Transport
    streams: set[str]
    combined: bool = False
    micro: bool = False
    opened: float = field(default_factory=time.monotonic)
    last_pong: float = field(default_factory=time.monotonic)
    active: float = field(default_factory=time.monotonic)  # when the client last said something, or was given data
    stalled_until: float = 0.0
    noticed: bool = False

    @property
    def stalled(self) -> bool:
        """Whether it gets no data at present."""
        return time.monotonic() < self.stalled_until

    def write(self, frames: bytes) -> None:
        """Write whole websocket frames, unless it is closing."""
        if not self.transport.is_closing():
            self.transport.write(frames)

    def say(self, body: bytes) -> None:
        """Send one text message."""
        self.write(websocket_frame(body))

    def cut(self, kind: str) -> None:
        """End it without a closing handshake: `fin` after what was written, `abort` with a reset."""
        if kind == "fin":
            self.transport.close()
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Connections:
    """All open websockets.

    Args:
        buffered_bytes: unsent bytes at which a slow one is aborted.
    """

    def __init__(self, buffered_bytes: int) -> None:
        self._buffered_bytes = buffered_bytes
        self.open: set[Connection] = set()
        self.counts: Counter[str] = Counter()

    def of(self, venue: str | None) -> list[Connection]:
        """Give those of one source (`binance`, `bybit`, `coincap`, or a venue), or all."""
        return [
            each for each in self.open if venue is None or each.venue == venue or each.venue.startswith(f"{venue}-")
        ]

    def silent_streams(self, venue: str) -> set[str]:
        """Give the streams whose every listener is stalled at present."""
        listened: dict[str, bool] = {}
        if not any(each.stalled_until for each in self.open):
            return set()
        for each in self.of(venue):
            for stream in each.streams:
                listened[stream] = listened.get(stream, True) and each.stalled
        return {stream for stream, silent in listened.items() if silent}

    def cut(self, kind: str, venue: str | None = None) -> int:
        """Cut all, or those of one source; give how many."""
        cut = self.of(venue)
        for each in cut:
            each.cut(kind)
        self.counts["cut"] += len(cut)
        return len(cut)

    def stall(self, seconds: float, venue: str | None = None) -> int:
        """Let those open now fall silent for a while; give how many."""
        stalled = self.of(venue)
        for each in stalled:
            each.stalled_until = time.monotonic() + seconds
        return len(stalled)

    def go_away(self) -> None:
        """Say goodbye to all (close code 1001) and end them, as a server does that stops."""
        for each in self.open:
            each.write(close_frame(1001))
            each.transport.close()

    def send(self, venue: str, messages: Sequence[Outgoing]) -> None:
        """Send messages to everyone who listens to their streams; a connection that reads too slowly is aborted."""
        made: dict[tuple[bool, bool], list[bytes]] = {}
        present = {message.stream for message in messages}
        for each in self.of(venue):
            wanted = present & each.streams
            if not wanted or each.stalled:
                continue
            form = (each.combined, each.micro)
            if form not in made:
                made[form] = [_framed(message, *form) for message in messages]
            if wanted == present:
                frames: Iterable[bytes] = made[form]
                count = len(messages)
            else:
                frames = [
                    frame for frame, message in zip(made[form], messages, strict=True) if message.stream in wanted
                ]
                count = len(frames)
            each.write(b"".join(frames))
            each.active = time.monotonic()
            self.counts["sent"] += count
            if each.transport.get_write_buffer_size() > self._buffered_bytes:
                each.cut("abort")
                self.counts["aborted_slow"] += 1


def _framed(message: Outgoing, wrap: bool, micro: bool) -> bytes:
    body = message.body_us if micro else message.body
    return websocket_frame(combined(message.stream, body) if wrap else body)
