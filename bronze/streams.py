"""One venue's websockets, and what fetches the rest beside them: every frame into the spool, every loss recorded."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

from ulid import ULID

from bronze.connection import Connection
from bronze.feed import Feed
from bronze.frames import framed
from bronze.record import Record
from bronze.spool import Spool
from bronze.venues.protocol import DATA_CHANNELS, GAP, OVERSIZE, Beside, Envelope, FeedSpec, Venue
from lakehouse.settings import Settings

_BESIDE_END_S = 0.5
log = logging.getLogger(__name__)


class Streams:
    """Holds a venue's connections.

    Args:
        venue: what to listen to.
        spool: where frames go first.
        settings: the whole tree.
    """

    def __init__(self, venue: Venue, spool: Spool, settings: Settings) -> None:
        self._venue = venue
        self._spool = spool
        self._settings = settings
        self._ending = threading.Event()
        self._refill = venue.refill(spool, settings, self._ending)
        listing = venue.listing(spool, settings, self._ending)
        self._beside: list[Beside] = [part for part in (self._refill, listing) if part is not None]
        self._feeds = [
            Feed(spec, self._connect, spool.has_room, settings.collector, overlap=venue.has_keys)
            for spec in venue.feeds(settings)
        ]
        self._feed_of = {feed.spec.venue: feed for feed in self._feeds}
        self._gap_checked: set[str] = set()
        self._frames = 0
        self._last_frame_at_us: int | None = None

    @property
    def error(self) -> BaseException | None:
        """What a part of it failed with for good."""
        parts: list[Beside | Feed] = [*self._beside, *self._feeds]
        return next((part.error for part in parts if part.error is not None), None)

    def start(self) -> None:
        """Connect."""
        for part in self._beside:
            part.start()
        for feed in self._feeds:
            feed.start()

    def end(self) -> None:
        """Close all, and take what they still bring."""
        for feed in self._feeds:
            feed.stop()
        for feed in self._feeds:
            feed.join(3 * self._settings.collector.close_timeout_s)
        self._ending.set()
        for part in self._beside:
            part.join(_BESIDE_END_S)

    def status(self) -> dict[str, Any]:
        """What there is to tell of the venue."""
        return {
            "connected": all(feed.connected for feed in self._feeds),
            "frames": self._frames,
            "last_frame_at_us": self._last_frame_at_us,
            "reconnects": sum(feed.reconnects for feed in self._feeds),
            "problem": next((feed.problem for feed in self._feeds if not feed.connected and feed.problem), ""),
            "fills": self._refill.fills if self._refill else 0,
            "missing_ids": self._refill.missing_ids() if self._refill else None,
        }

    def accept(self, connection: Connection, payload: bytes, received_at_us: int) -> None:
        """Put a frame into the spool.

        Raises:
            SpoolFullError: there is no room; the connection ends.
            SpoolClosedError: the collector has ended.
        """
        envelope = self._venue.envelope(payload, connection.spec.venue)
        record = self._record(envelope, connection, payload, received_at_us)
        if envelope.complaint:
            log.error("%s: the venue refuses a request: %s", envelope.venue, envelope.complaint)
        if self._refill is None and record.event_time_us:
            self._mark_gap(connection, record)
        self._spool.append(record)
        self._frames += 1
        self._last_frame_at_us = received_at_us
        if envelope.rotate:
            connection.ask_rotation()
        if envelope.refused:
            connection.refuse(envelope.refused)
        if record.channel in DATA_CHANNELS:
            connection.note_data()

    def _record(self, envelope: Envelope, connection: Connection, payload: bytes, received_at_us: int) -> Record:
        channel, payload = framed(envelope.channel, payload, self._settings.collector)
        if channel == OVERSIZE:
            envelope = Envelope(envelope.venue, channel, envelope.key)
        return Record(
            envelope.venue,
            channel,
            envelope.key,
            connection.session_id,
            connection.sequence,
            received_at_us,
            "stream",
            payload,
            envelope.symbol,
            envelope.first_id,
            envelope.last_id,
            envelope.event_time_us,
        )

    def _mark_gap(self, connection: Connection, first: Record) -> None:
        """Before the first frame of a session: what was traded since the last frame before it was not heard."""
        if connection.session_id in self._gap_checked:
            return
        last_us = self._spool.ask(lambda coverage: coverage.event_time_us(first.venue))
        if last_us is not None:
            slack_us = int(self._settings.collector.gap_slack_s * 1_000_000)
            marker = {
                "kind": "disconnect",
                "from_time_us": min(last_us, first.event_time_us) - slack_us,
                "to_time_us": max(last_us, first.event_time_us),
                "reason": self._feed_of[connection.spec.venue].last_reason,
            }
            self._spool.append(
                Record(
                    first.venue, GAP, "*", str(ULID()), 0, first.received_at_us, "stream", json.dumps(marker).encode()
                ),
                urgent=True,
            )
        self._gap_checked.add(connection.session_id)

    def _connect(self, spec: FeedSpec) -> Connection:
        def opened() -> None:
            if self._refill is not None:
                self._refill.connection_opened(spec.venue, self._feed_of[spec.venue].last_reason)

        heartbeat = self._venue.heartbeat(self._settings)
        return Connection(spec, self.accept, self._settings.collector, heartbeat, on_open=opened)
