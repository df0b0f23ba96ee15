"""One source's collector: connections, fill, spool and publisher in one process."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import threading
import time
from typing import Any

from ulid import ULID

from bronze.connection import Connection
from bronze.feed import Feed
from bronze.files import write_atomically
from bronze.fill import Fill
from bronze.publisher import Publisher
from bronze.record import Record
from bronze.spool import Spool, spool_folder
from bronze.venues import venue_of
from bronze.venues.protocol import GAP, OVERSIZE, Envelope, FeedSpec, Venue
from lakehouse.errors import CryptolakeError
from lakehouse.home import claim_home, kind_of
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
_LOOK_S = 0.1


def collect(source: str, settings: Settings, bootstrap_servers: str, stop: threading.Event) -> None:
    """Collect a source until `stop` is set; then end within 10 s, with everything received in the spool or in Kafka.

    Args:
        source: binance or coincap.
        settings: the whole tree.
        bootstrap_servers: the brokers; they may be down.
        stop: set it to end.

    Raises:
        CryptolakeError: an unknown source, a feed that no longer exists, a home of the other kind, a second collector
            for the source in this home, or a failure that a new start may mend.
    """
    venue = venue_of(source)
    venue.refuse_dead_feed(settings)
    claim_home(settings, kind_of(venue.urls(settings)))
    with Spool(spool_folder(settings, source), settings.spool) as spool:
        Collector(venue, spool, settings, bootstrap_servers).run(stop)


class Collector:
    """Holds a venue's connections and everything behind them.

    Args:
        venue: what to collect.
        spool: where frames go first.
        settings: the whole tree.
        bootstrap_servers: where they go then.
    """

    def __init__(self, venue: Venue, spool: Spool, settings: Settings, bootstrap_servers: str) -> None:
        self._venue = venue
        self._spool = spool
        self._settings = settings
        self._publisher = Publisher(spool, settings, bootstrap_servers)
        self._ending = threading.Event()
        self._fill = Fill(spool, settings, self._ending) if venue.has_ids else None
        self._feeds = [
            Feed(spec, self._connect, spool.has_room, settings.collector, overlap=venue.has_ids)
            for spec in venue.feeds(settings)
        ]
        self._feed_of = {feed.spec.venue: feed for feed in self._feeds}
        self._gap_checked: set[str] = set()
        self._frames = 0
        self._last_frame_at_us: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Collect until told to stop.

        Raises:
            CryptolakeError: a part of it failed for good.
        """
        status = _Status(self._venue.source, self._settings)
        parts: list[Publisher | Fill | Feed] = [self._publisher, *([self._fill] if self._fill else []), *self._feeds]
        for part in parts:
            part.start()
        try:
            while not stop.wait(_LOOK_S):
                status.write_when_due(self._status)
                for part in parts:
                    if part.error is not None:
                        raise CryptolakeError(f"The collector of {self._venue.source} failed ({part.error})") from (
                            part.error
                        )
        finally:
            self._end()
            status.remove()

    def accept(self, connection: Connection, payload: bytes, received_at_us: int) -> None:
        """Put a frame into the spool.

        Raises:
            SpoolFullError: there is no room; the connection ends.
            SpoolClosedError: the collector has ended.
        """
        envelope = self._venue.envelope(payload, connection.spec.venue)
        record = self._record(envelope, connection, payload, received_at_us)
        if not self._venue.has_ids and record.event_time_us:
            self._mark_gap(connection, record)
        self._spool.append(record)
        self._frames += 1
        self._last_frame_at_us = received_at_us
        if envelope.rotate:
            connection.rotate_asked = True
        if record.channel == "trade":
            connection.note_data()

    def _record(self, envelope: Envelope, connection: Connection, payload: bytes, received_at_us: int) -> Record:
        collector = self._settings.collector
        channel = envelope.channel
        if len(payload) > collector.oversize_bytes:
            channel, payload = OVERSIZE, oversize_marker(payload, collector.oversize_head_bytes)
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
        opened = self._fill.connection_opened if self._fill else None
        interval_s = self._venue.ping_interval_s(self._settings)
        return Connection(spec, self.accept, self._settings.collector, interval_s, on_open=opened)

    def _end(self) -> None:
        """Sockets first, then what they brought; what the broker does not take in time stays in the spool."""
        for feed in self._feeds:
            feed.stop()
        for feed in self._feeds:
            feed.join(3 * self._settings.collector.close_timeout_s)
        self._ending.set()
        if self._fill is not None:
            self._fill.join(0.5)
        collector = self._settings.collector
        if not self._publisher.drain(collector.drain_timeout_s, collector.drain_patience_s):
            log.warning("the broker did not take everything in time; the rest stays in the spool")
        self._publisher.close()

    def _status(self) -> dict[str, Any]:
        return {
            "connected": all(feed.connected for feed in self._feeds),
            "frames": self._frames,
            "spool_bytes": self._spool.size_bytes,
            "unacked": self._publisher.unacked,
            "last_frame_at_us": self._last_frame_at_us,
            "reconnects": sum(feed.reconnects for feed in self._feeds),
            "fills": self._fill.fills if self._fill else 0,
            "missing_ids": self._fill.missing_ids() if self._fill else None,
        }


def oversize_marker(payload: bytes, head_bytes: int) -> bytes:
    """What is published of a message that is too long: its head, length and sha256."""
    return json.dumps(
        {
            "length": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
            "head_base64": base64.b64encode(payload[:head_bytes]).decode(),
        }
    ).encode()


class _Status:
    """`<home>/run/collector-<source>.json`, for the console and `doctor`."""

    def __init__(self, source: str, settings: Settings) -> None:
        folder = settings.home.resolve() / "run"
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"collector-{source}.json"
        self._interval_s = settings.collector.status_interval_s
        self._written_at = float("-inf")
        self._frames = 0

    def write_when_due(self, status: Any) -> None:
        now = time.monotonic()
        passed_s = now - self._written_at
        if passed_s < self._interval_s:
            return
        facts: dict[str, Any] = status()
        rate = (facts["frames"] - self._frames) / passed_s if passed_s != float("inf") else 0.0
        self._written_at, self._frames = now, facts["frames"]
        content = {"pid": os.getpid(), **facts, "frames_per_s": round(rate, 1), "written_at_us": time.time_ns() // 1000}
        try:
            write_atomically(self._path, json.dumps(content).encode(), durable=False)
        except OSError as error:
            log.warning("%s not written (%s)", self._path, error)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
