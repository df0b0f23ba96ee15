"""Keeps one stream group connected: reconnects with backoff, and rotates before the venue cuts."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from bronze.connection import Connection
from bronze.venues.protocol import FeedSpec
from lakehouse.settings import CollectorSettings

log = logging.getLogger(__name__)
_LOOK_S = 0.25  # for what only time brings; a connection tells what happens to it
_ROOM_LOOK_S = 0.05


class Feed(threading.Thread):
    """One stream group; at any time one connection, or two while one replaces the other.

    Args:
        spec: where and what.
        connect: makes a connection, not yet started.
        has_room: whether the spool takes records; while not, nothing is connected.
        overlap: rotation opens the new connection first, and closes the old one once the new one brought data.
            Without ids that would count trades twice: then the old one is closed first.
        settings: times.
    """

    def __init__(
        self,
        spec: FeedSpec,
        connect: Callable[[FeedSpec], Connection],
        has_room: Callable[[], bool],
        settings: CollectorSettings,
        *,
        overlap: bool,
    ) -> None:
        super().__init__(name=f"feed-{spec.venue}", daemon=True)
        self.spec = spec
        self.reconnects = 0
        self.last_reason = "collector started"
        self.problem = ""
        self.error: BaseException | None = None
        self._connect = connect
        self._has_room = has_room
        self._settings = settings
        self._overlap = overlap
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._failures = 0
        self._current: Connection | None = None
        self._next: Connection | None = None
        self._next_not_before = 0.0

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        current = self._current
        return current is not None and current.is_open

    def stop(self) -> None:
        """Ask for the end; `join` waits for it."""
        self._stopping.set()
        self._changed.set()

    def run(self) -> None:
        """Keep connected until `stop`."""
        try:
            while not self._stopping.is_set():
                self._keep_connected()
                self._rotate()
                self._changed.wait(_LOOK_S)
                self._changed.clear()
        except Exception as error:
            log.exception("feed %s failed", self.spec.venue)
            self.error = error
        finally:
            for connection in (self._current, self._next):
                if connection is not None:
                    connection.close("collector stopped")
            for connection in (self._current, self._next):
                if connection is not None:
                    connection.join(2 * self._settings.close_timeout_s)

    def _keep_connected(self) -> None:
        current = self._current
        if current is not None and not current.ended:
            return
        if current is not None:
            self._current = None
            if self._next is not None:
                self._current, self._next = self._next, None
                return
            self._note_end(current)
        self._wait_for_room()
        if not self._stopping.is_set():
            self._current = self._start()

    def _note_end(self, connection: Connection) -> None:
        lived = 0.0 if connection.opened_at is None else time.monotonic() - connection.opened_at
        if connection.opened_at is not None:
            self.last_reason = connection.reason
        self.problem = connection.reason
        self.reconnects += 1
        self._failures = 0 if lived > self._settings.stable_s else self._failures + 1
        wait = max(backoff_s(self._failures, self._settings), connection.retry_after_s)
        log.warning("%s: connection ended (%s); next in %.1f s", self.spec.venue, connection.reason, wait)
        self._stopping.wait(wait)

    def _wait_for_room(self) -> None:
        while not self._has_room() and not self._stopping.wait(_ROOM_LOOK_S):
            pass

    def _rotate(self) -> None:
        current = self._current
        if current is None or current.opened_at is None or current.ended:
            return
        due = current.rotate_asked or time.monotonic() - current.opened_at > self._settings.rotate_after_s
        if due and not self._overlap:
            self._replace_after_close(current)
        elif due and self._next is None and time.monotonic() >= self._next_not_before:
            self._next = self._start()
        elif self._next is not None:
            self._replace_when_ready(current, self._next)

    def _replace_after_close(self, current: Connection) -> None:
        log.info("%s: rotating", self.spec.venue)
        current.close("rotation")
        current.join(3 * self._settings.close_timeout_s)
        self.last_reason = "rotation"
        self._current = self._start()

    def _replace_when_ready(self, current: Connection, new: Connection) -> None:
        if new.data_at is not None:
            log.info("%s: rotated", self.spec.venue)
            current.close("rotation")
            self._current, self._next = new, None
            current.join(3 * self._settings.close_timeout_s)
            return
        started = new.opened_at or new.started_at
        if new.ended or time.monotonic() - started > self._settings.rotate_patience_s:
            new.close("brought no data in time")
            self._next = None
            self._failures += 1
            self._next_not_before = time.monotonic() + backoff_s(self._failures, self._settings)

    def _start(self) -> Connection:
        connection = self._connect(self.spec)
        connection.changed = self._changed
        connection.start()
        return connection


def backoff_s(failures: int, settings: CollectorSettings) -> float:
    """A random wait about a mean that doubles with each failure in a row: collectors must not come back as one."""
    mean = min(settings.backoff_s * 2.0 ** min(max(failures, 1) - 1, 16), settings.backoff_max_s)
    return mean * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
