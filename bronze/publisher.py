"""Carries the spool's records to Kafka, each at least once."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from kafka import KafkaProducer
from kafka.errors import KafkaError

from bronze.ack_window import AckWindow
from bronze.kafka_client import BrokerUnreachableError, close_producer, open_producer
from bronze.record import Position, Record
from bronze.spool import Spool
from bronze.topics import ensure_topics
from lakehouse.errors import CryptolakeError
from lakehouse.faults import fault_point
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
_WAIT_S = 0.1
_RETRY_S = 0.5


class Publisher(threading.Thread):
    """The one reader of a spool: sends its records in order, and acknowledges them to it once the broker has them.

    When a record fails (a broker gone for longer than the delivery timeout, a producer whose epoch was bumped), the
    producer is replaced, and every record that is not acknowledged is read from the spool and sent again.

    Args:
        spool: where the records are.
        settings: bounds and times of section `collector`, security of section `kafka`.
        bootstrap_servers: the brokers; they need not be up.

    Attributes:
        generation: how many producers there have been.
        error: what it failed with for good; None while it has not.
    """

    def __init__(self, spool: Spool, settings: Settings, bootstrap_servers: str) -> None:
        super().__init__(name="publisher", daemon=True)
        self._spool = spool
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._window = AckWindow(spool.acked)
        self._next = spool.acked
        self._ended = threading.Event()
        self._topics: set[str] = set()
        self.generation = 0
        self._failed: Exception | None = None
        self.error: BaseException | None = None

    @property
    def unacked(self) -> int:
        """How many records are with the producer."""
        return self._window.unacked

    def run(self) -> None:
        """Publish until `close`."""
        while not self._ended.is_set():
            try:
                self._publish_with_one_producer()
            except (KafkaError, CryptolakeError) as error:
                log.warning("publishing stopped (%s: %s); trying again", type(error).__name__, error)
            except Exception as error:
                log.exception("the publisher failed")
                self.error = error
                return
            self._ended.wait(_RETRY_S)

    def drain(self, timeout_s: float, patience_s: float) -> bool:
        """Wait until Kafka has everything that is in the spool.

        Args:
            timeout_s: for all of it.
            patience_s: give up earlier when nothing is acknowledged for this long.

        Returns:
            whether Kafka has everything.
        """
        started = moved_at = time.monotonic()
        prefix = self._window.prefix
        while not self._spool.all_acked():
            now = time.monotonic()
            if self._window.prefix != prefix:
                prefix, moved_at = self._window.prefix, now
            if now - started > timeout_s or now - moved_at > patience_s or not self.is_alive():
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """End; what is not acknowledged stays in the spool."""
        self._ended.set()
        self.join(2 * self._settings.collector.producer_close_timeout_s)
        self._spool.acknowledge(self._window.prefix)

    def _publish_with_one_producer(self) -> None:
        producer = open_producer(self._settings, self._bootstrap_servers)
        self.generation += 1
        self._failed = None
        self._topics.clear()
        try:
            self._send_again(producer)
            while not self._ended.is_set():
                self._raise_if_failed()
                self._send_new(producer)
        finally:
            close_producer(producer, self._settings.collector.producer_close_timeout_s)
            self._spool.acknowledge(self._window.prefix)

    def _send_again(self, producer: KafkaProducer) -> None:
        """Send what the last producer was given and the broker has not acknowledged, read once from its first place."""
        place = self._window.prefix
        while place < self._next and (found := self._spool.read(place)):
            self._raise_if_failed()
            for here, after, record in found:
                if here >= self._next or self._ended.is_set():
                    return
                if self._window.waits_for(here):
                    self._send(producer, here, after, record)
                place = after

    def _send_new(self, producer: KafkaProducer) -> None:
        """Send what has come since the last time, and let some come unless there is more already."""
        end = self._spool.end
        found = self._spool.read(self._next)
        for place, after, record in found:
            if not self._wait_for_room():
                return
            self._next = after
            self._send(producer, place, after, record)
        self._spool.acknowledge(self._window.prefix)
        if not found or self._next >= end:
            self._ended.wait(self._settings.collector.publish_interval_ms / 1000)

    def _wait_for_room(self) -> bool:
        collector = self._settings.collector
        while not self._ended.is_set():
            if self._window.wait_for_room(collector.max_unacked, collector.max_unacked_bytes, _WAIT_S):
                return True
            self._spool.acknowledge(self._window.prefix)
            self._raise_if_failed()
        return False

    def _send(self, producer: KafkaProducer, place: Position, after: Position, record: Record) -> None:
        self._window.add(place, after, len(record.payload))
        if record.topic not in self._topics:
            ensure_topics(self._settings, self._bootstrap_servers, [record.topic])
            self._topics.add(record.topic)
        # The record's own timestamp stays the broker's or ours of now: an old tape must not fall to retention.
        future = producer.send(record.topic, record.payload, record.key.encode(), headers_of(record))
        fault_point("collector_after_send")
        future.add_callback(partial(self._on_ack, place))
        future.add_errback(partial(self._on_failure, self.generation))

    def _on_ack(self, place: Position, _: object) -> None:
        self._window.ack(place)
        fault_point("collector_after_ack")

    def _on_failure(self, generation: int, error: Exception) -> None:
        if generation == self.generation and self._failed is None:
            self._failed = error

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            raise BrokerUnreachableError(f"Records came back from the producer ({type(self._failed).__name__})")


def headers_of(record: Record) -> list[tuple[str, bytes]]:
    """The Kafka headers, all text."""
    return [
        ("venue", record.venue.encode()),
        ("channel", record.channel.encode()),
        ("session_id", record.session_id.encode()),
        ("sequence", b"%d" % record.sequence),
        ("received_at_us", b"%d" % record.received_at_us),
        ("origin", record.origin.encode()),
    ]
