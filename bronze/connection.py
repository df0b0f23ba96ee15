"""One connection to a venue, from the upgrade to its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import websocket
from ulid import ULID
from websocket import ABNF

from bronze.rest import retry_after_s
from bronze.spool import SpoolClosedError, SpoolFullError
from bronze.venue_socket import VenueSocket
from bronze.venues.protocol import FeedSpec, Heartbeat
from lakehouse.settings import CollectorSettings

log = logging.getLogger(__name__)
_WAIT_S = 0.25
# Called with the connection, the frame's bytes and the receive time in UTC microseconds.
Sink = Callable[["Connection", bytes, int], None]


class StalledError(Exception):
    """No data for too long, though the venue may answer pings."""


class Connection(threading.Thread):
    """Connects, subscribes, and hands every message to the sink until told to close or the connection ends.

    Args:
        spec: where and what.
        sink: takes the frames, in this thread; it calls `note_data` for those that are data.
        settings: times and sizes.
        heartbeat: what to send to keep it alive; None for nothing.
        on_open: called once the upgrade is done.

    Attributes:
        ended: whether it is over; then the thread does nothing more.
        changed: set with its first data, when it is to be replaced, and when it has ended; whoever waits for that may
            put an event of its own here before the start.
    """

    def __init__(
        self,
        spec: FeedSpec,
        sink: Sink,
        settings: CollectorSettings,
        heartbeat: Heartbeat | None = None,
        on_open: Callable[[], None] | None = None,
    ) -> None:
        self.session_id = str(ULID())
        super().__init__(name=f"{spec.venue}-{self.session_id[-6:]}", daemon=True)
        self.spec = spec
        self.sequence = 0
        self.started_at = time.monotonic()
        self.opened_at: float | None = None
        self.data_at: float | None = None
        self.rotate_asked = False
        self.ended = False
        self.changed = threading.Event()
        self.reason = ""
        self.retry_after_s = 0.0
        self._sink = sink
        self._settings = settings
        self._heartbeat = heartbeat
        self._on_open = on_open
        self._pinged_at = 0.0
        self._close_asked = False
        self._socket = VenueSocket(settings.max_frame_bytes, self._on_wait)

    @property
    def is_open(self) -> bool:
        """Whether the upgrade is done and the connection has not ended."""
        return self.opened_at is not None and not self.ended

    def note_data(self) -> None:
        """A data message came: the watchdog's time starts anew."""
        first = self.data_at is None
        self.data_at = time.monotonic()
        if first:
            self.changed.set()

    def ask_rotation(self) -> None:
        """The venue will end it soon: it is to be replaced."""
        self.rotate_asked = True
        self.changed.set()

    def close(self, reason: str) -> None:
        """Ask for the end; the thread reads on until the venue has closed its side too, or the close timeout."""
        self.reason = self.reason or reason
        self._close_asked = True

    def refuse(self, words: str) -> None:
        """The venue will not serve us: close, with its words as the reason."""
        self.close(f"refused: {self.spec.redacted(words)} {self.spec.when_refused}".rstrip())

    def run(self) -> None:
        """Live."""
        try:
            self._live()
        finally:
            self.ended = True
            self.changed.set()

    def _live(self) -> None:
        try:
            self._socket.open(
                self.spec.url + self.spec.secret.get_secret_value(), self._settings.connect_timeout_s, _WAIT_S
            )
            for message in self.spec.subscriptions:
                self._socket.send_text(message)
            self.opened_at = self._pinged_at = time.monotonic()
            if self._on_open is not None:
                self._on_open()
            self._receive()
            self._close_gently()
        except websocket.WebSocketBadStatusException as error:
            self.retry_after_s = retry_after_s((error.resp_headers or {}).get("retry-after"))
            body = bytes(error.resp_body or b"")[:200].decode(errors="replace")
            self._end(f"HTTP {error.status_code} {' '.join(body.split())} {self.spec.when_refused}".rstrip())
        except (OSError, websocket.WebSocketException, StalledError) as error:
            self._end(f"{type(error).__name__}: {error}")
        except (SpoolFullError, SpoolClosedError) as error:
            self._end(error.what)
        except Exception as error:
            log.exception("%s: a frame could not be handled", self.spec.venue)
            self._end(f"{type(error).__name__}: {error}")
        finally:
            self._socket.shutdown()  # type: ignore[no-untyped-call]

    def _receive(self) -> None:
        while not self._close_asked:
            if not self._receive_one():
                self._end("closed by the venue")
                return

    def _receive_one(self) -> bool:
        """Hand on one message, if one comes in time; False when the venue closes."""
        try:
            opcode, frame = self._socket.recv_data_frame()
        except websocket.WebSocketTimeoutException:
            return True
        received_at_us = time.time_ns() // 1000
        if opcode == ABNF.OPCODE_CLOSE:
            return False
        self._sink(self, frame.data, received_at_us)
        self.sequence += 1
        return True

    def _close_gently(self) -> None:
        """Say goodbye and take what the venue had sent before it heard it."""
        if not self._close_asked:
            return
        deadline = time.monotonic() + self._settings.close_timeout_s
        with suppress(OSError, websocket.WebSocketException, StalledError):
            self._socket.send_close()
            while time.monotonic() < deadline and self._receive_one():
                pass

    def _on_wait(self) -> None:
        if self.opened_at is None:
            return
        now = time.monotonic()
        if now - max(self.opened_at, self.data_at or 0.0) > self._settings.stall_s:
            raise StalledError(f"no data for {self._settings.stall_s:g} s")
        heartbeat = self._heartbeat
        if heartbeat and now - self._pinged_at > heartbeat.interval_s and not self._close_asked:
            self._pinged_at = now
            if heartbeat.message:
                self._socket.send_text(heartbeat.message)
            else:
                self._socket.ping()

    def _end(self, reason: str) -> None:
        self.reason = self.reason or self.spec.redacted(reason)
