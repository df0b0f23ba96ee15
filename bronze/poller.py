"""Asks a source again and again, and puts every answer into the spool."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from ulid import ULID

from bronze.feed import backoff_s
from bronze.fetching import Fetching
from bronze.frames import framed
from bronze.record import Record
from bronze.rest import RestError
from bronze.spool import Spool
from bronze.venues.polled import Poll, PolledSource
from bronze.venues.protocol import CONTROL
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
_END_S = 0.5


class Poller(Fetching):
    """All polls of one source, one after another; a run of it is a session.

    A body goes on as it came, also one that silver will refuse. What comes with another status than 200 goes on as
    channel `control`, with the status as its key, and is asked for again after the interval, what `Retry-After` says,
    or a backoff, whichever is longest.

    Args:
        polled: what to ask.
        spool: where answers go first.
        settings: the whole tree.
    """

    def __init__(self, polled: PolledSource, spool: Spool, settings: Settings) -> None:
        self._ending = threading.Event()
        super().__init__(f"poll-{polled.source}", "polling", polled.client(settings, self._ending))
        self._source = polled.source
        self._spool = spool
        self._settings = settings.collector
        self._polls = polled.polls(settings)
        self._next_at = dict.fromkeys(self._polls, 0.0)
        self._failures = dict.fromkeys(self._polls, 0)
        self._session_id = str(ULID())
        self._sequence = 0
        self._failed = 0
        self._last_frame_at_us: int | None = None
        self._problems: dict[Poll, str] = {}

    def _fetch_on(self) -> None:
        while not self._ending.is_set():
            poll = min(self._polls, key=lambda each: self._next_at[each])
            if not self._ending.wait(max(0.0, self._next_at[poll] - time.monotonic())):
                self._next_at[poll] = time.monotonic() + self._take(poll)

    def end(self) -> None:
        """Ask nothing more; an answer that is still awaited is not waited for."""
        self._ending.set()
        self.join(_END_S)

    def status(self) -> dict[str, Any]:
        """What there is to tell of the source."""
        return {
            "connected": self._last_frame_at_us is not None and not self._problems,
            "frames": self._sequence,
            "last_frame_at_us": self._last_frame_at_us,
            "reconnects": self._failed,
            "problem": "; ".join(self._problems.values()),
        }

    def _take(self, poll: Poll) -> float:
        """Ask once and give the time until the next time."""
        try:
            body = poll.ask(self._rest)
        except RestError as error:
            if self._ending.is_set():
                return 0.0
            if error.status:
                self._put(poll.venue, CONTROL, f"HTTP {error.status} {poll.key}", error.body)
            return self._failed_with(poll, str(error), error.retry_after_s)
        self._put(poll.venue, poll.channel, poll.key, body)
        self._last_frame_at_us = time.time_ns() // 1000
        if doubt := poll.doubt(body):
            return self._failed_with(poll, doubt, 0.0)
        if self._failures[poll]:
            log.info("%s %s: answers again", self._source, poll.key)
        self._failures[poll] = 0
        self._problems.pop(poll, None)
        return poll.interval_s

    def _failed_with(self, poll: Poll, why: str, retry_after_s: float) -> float:
        self._failed += 1
        self._failures[poll] += 1
        self._problems[poll] = why
        wait_s = max(poll.interval_s, retry_after_s, backoff_s(self._failures[poll], self._settings))
        log.warning("%s %s: %s; again in %.1f s", self._source, poll.key, why, wait_s)
        return wait_s

    def _put(self, venue: str, channel: str, key: str, body: bytes) -> None:
        channel, payload = framed(channel, body, self._settings)
        now_us = time.time_ns() // 1000
        record = Record(venue, channel, key, self._session_id, self._sequence, now_us, "stream", payload)
        if self._spool.append_when_room(record, self._ending):
            self._sequence += 1
