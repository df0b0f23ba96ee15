"""How far the lake is behind Kafka: what the broker holds beyond the last batch that was committed."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from cryptolake.broker.local import running_broker
from cryptolake.stream import checkpoint_folder
from lakehouse.settings import Settings


class Lag:
    """Asks the broker now and then, in a thread of its own, because a broker that falls answers late.

    Args:
        settings: the home.
        every_s: time between two questions.
    """

    def __init__(self, settings: Settings, every_s: float) -> None:
        self._settings = settings
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="lag", daemon=True)
        self.records: int | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _ask_on(self) -> None:
        from kafka import KafkaConsumer
        from kafka.errors import KafkaError

        consumer, connected_to = None, None
        while not self._stop.wait(self._every_s):
            running = running_broker(self._settings)
            address = self._settings.kafka.bootstrap_servers or (running.bootstrap_servers if running else None)
            if address is None:
                self.records = None
                continue
            try:
                if consumer is None or connected_to != address:
                    from bronze.kafka_client import client_config

                    consumer, connected_to = KafkaConsumer(**client_config(self._settings, address)), address
                self.records = self._measure(consumer)
            except (KafkaError, OSError):
                self.records, consumer = None, None
        if consumer is not None:
            consumer.close()

    def _measure(self, consumer: object) -> int:
        from kafka import KafkaConsumer, TopicPartition

        assert isinstance(consumer, KafkaConsumer)  # noqa: S101 - narrows an untyped library
        done = committed_offsets(checkpoint_folder(self._settings))
        topics = [topic for topic in consumer.topics() if "." in topic]
        partitions = [TopicPartition(t, p) for t in topics for p in consumer.partitions_for_topic(t) or ()]
        if not partitions:
            return 0
        ends = consumer.end_offsets(partitions)
        return sum(max(0, end - done.get((at.topic, at.partition), 0)) for at, end in ends.items())


def committed_offsets(checkpoint: Path) -> dict[tuple[str, int], int]:
    """Read where the last committed batch of a stream ended, by topic and partition."""
    batches = [int(path.name) for path in (checkpoint / "commits").glob("[0-9]*") if path.name.isdigit()]
    if not batches:
        return {}
    try:
        lines = (checkpoint / "offsets" / str(max(batches))).read_text(encoding="utf-8").splitlines()
        by_topic = json.loads(lines[-1])
    except (OSError, ValueError, IndexError):
        return {}
    return {(topic, int(part)): int(offset) for topic, parts in by_topic.items() for part, offset in parts.items()}
