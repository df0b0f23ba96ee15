"""websocket-client's socket with what it lacks: read-ahead, a cap on messages, a look at the clock while it waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import websocket
from websocket import ABNF

_READ_AHEAD_BYTES = 65_536


class MessageTooLongError(websocket.WebSocketException):
    """The venue sends a message beyond the cap."""


class _CappedFrames(websocket._abnf.frame_buffer):  # noqa: SLF001 - the library names no public place for it
    max_bytes: int

    def recv_length(self) -> None:
        super().recv_length()
        if self.length is not None and self.length > self.max_bytes:
            raise MessageTooLongError(f"a frame of {self.length} bytes")


class VenueSocket(websocket.WebSocket):
    """One websocket to a venue.

    Pings of the server are answered inside `recv_data_frame`. Payloads stay bytes: UTF-8 is not checked here (0.62 s
    per MiB in pure Python, and one bad frame would end the connection).

    Args:
        max_message_bytes: a longer message, in one frame or in fragments, raises.
        on_wait: called before every read of the network; what it raises ends the wait.
    """

    def __init__(self, max_message_bytes: int, on_wait: Callable[[], None]) -> None:
        super().__init__(skip_utf8_validation=True, enable_multithread=True)
        self._max_message_bytes = max_message_bytes
        self._on_wait = on_wait
        self._ahead = b""
        self._used = 0
        self._message_bytes = 0
        self.frame_buffer = _CappedFrames(self._recv, True)
        self.frame_buffer.max_bytes = max_message_bytes

    def open(self, url: str, timeout_s: float, wait_s: float) -> None:
        """Connect and upgrade.

        Args:
            url: ws or wss; certificates and host names are checked.
            timeout_s: for all of it, also against a server that answers byte by byte.
            wait_s: how long a later read may wait before `on_wait` is called again.

        Raises:
            OSError, websocket.WebSocketException: it did not work in time.
        """
        watchdog = threading.Timer(timeout_s, self._cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            self.settimeout(timeout_s)
            self.connect(url, suppress_origin=True)  # type: ignore[no-untyped-call]
        finally:
            watchdog.cancel()
        self.settimeout(wait_s)

    def recv_frame(self) -> ABNF:
        """Read one frame; control frames may come between the fragments of a message."""
        frame: ABNF = super().recv_frame()  # type: ignore[no-untyped-call]
        if frame.opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT):
            self._message_bytes += len(frame.data)
            if self._message_bytes > self._max_message_bytes:
                raise MessageTooLongError(f"a message of more than {self._max_message_bytes} bytes")
            if frame.fin:
                self._message_bytes = 0
        return frame

    def pong(self, payload: str | bytes = "") -> None:
        """Answer a ping; a server that takes nothing any more is as good as gone."""
        try:
            super().pong(payload)
        except websocket.WebSocketTimeoutException as error:
            raise websocket.WebSocketConnectionClosedException("the venue takes no pong") from error

    def _recv(self, bufsize: int) -> bytes:
        if self._used == len(self._ahead):
            self._on_wait()
            self._ahead = super()._recv(_READ_AHEAD_BYTES)  # type: ignore[no-untyped-call]
            self._used = 0
        chunk = self._ahead[self._used : self._used + bufsize]
        self._used += len(chunk)
        return chunk

    def _cut(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads; a close would not
