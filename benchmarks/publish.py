"""Puts a load into Kafka with the collector's topic, keys and headers, as fast as it goes or by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from benchmarks.load import TOPIC, Load, Sent
from bronze.publisher import headers_of
from bronze.record import Record
from bronze.topics import ensure_topics
from lakehouse.settings import Settings

Send = Callable[[Record], None]
_VENUE, _, _CHANNEL = TOPIC.partition(".")
_MOST_QUEUED = 200_000
_FLUSH_S = 120
_SESSIONS = count(1)


def records_of(sent: Iterator[list[Sent]]) -> Iterator[Record]:
    """Frames with what a collector knows of them; their intended time is the time at which they are received."""
    session, sequence = f"{next(_SESSIONS):026d}", count()
    for chunk in sent:
        for at_us, key, payload in chunk:
            yield Record(_VENUE, _CHANNEL, key, session, next(sequence), at_us, "stream", payload)


def publish(load: Load, send: Send) -> None:
    """Send everything at once, in its order."""
    for record in records_of(load.frames()):
        send(record)


def publish_by_clock(load: Load, send: Send) -> float:
    """Send every frame at its time, whether or not the ones before it have been taken in.

    All of them are made before the first is due, so that making them delays none.

    Returns:
        how far behind its time a frame was at most, in seconds.
    """
    records = list(records_of(load.frames()))
    latest_us = 0
    for record in records:
        wait_us = record.received_at_us - time.time_ns() // 1_000
        if wait_us > 1_000:
            time.sleep(wait_us / 1e6)
        latest_us = max(latest_us, -wait_us)
        send(record)
    return latest_us / 1e6


@contextmanager
def producer(settings: Settings, bootstrap_servers: str) -> Iterator[Send]:
    """A fast producer, which has delivered everything when its block ends.

    Raises:
        RuntimeError: some records were not acknowledged.
    """
    from confluent_kafka import Producer

    ensure_topics(settings, bootstrap_servers, [TOPIC])
    options = {"linger.ms": 5, "batch.size": 1_000_000, "queue.buffering.max.messages": 2 * _MOST_QUEUED}
    client = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", **options})
    sent = count(1)

    def send(record: Record) -> None:
        # The record's own timestamp is that of now, as the collector's.
        client.produce(record.topic, record.payload, record.key, headers=headers_of(record))
        if next(sent) % 64 == 0:
            client.poll(0)
            while len(client) > _MOST_QUEUED:
                client.poll(0.05)

    yield send
    if left := client.flush(_FLUSH_S):
        raise RuntimeError(f"{left} records were not acknowledged")
