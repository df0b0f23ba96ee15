"""Topics are made here, with partitions and retention, and never by themselves."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError

from bronze.kafka_client import BrokerUnreachableError, admin_client, client_config
from lakehouse.settings import Settings

log = logging.getLogger(__name__)


class Topics:
    """The topics of some brokers.

    Args:
        settings: security of the cluster.
        bootstrap_servers: the brokers.
    """

    def __init__(self, settings: Settings, bootstrap_servers: str) -> None:
        self._to = (settings, bootstrap_servers)

    def ids(self) -> dict[str, str]:
        """As `topic_ids`."""
        return topic_ids(*self._to)

    def earliest(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """As `earliest_offsets`."""
        return earliest_offsets(*self._to, topics)


def ensure_topics(settings: Settings, bootstrap_servers: str, topics: Iterable[str]) -> None:
    """Make the topics that are not there yet, and wait until they can be used.

    Raises:
        BrokerUnreachableError: no broker answers, or it refuses.
    """
    wanted = sorted(set(topics))
    admin = admin_client(settings, bootstrap_servers)
    try:
        missing = sorted(set(wanted) - set(admin.list_topics()))
        if not missing:
            return
        kafka = settings.kafka
        config = {
            "retention.ms": str(kafka.retention_ms),
            "retention.bytes": str(kafka.retention_bytes),
            "segment.bytes": str(kafka.segment_bytes),
            "cleanup.policy": "delete",
        }
        shape = {
            "num_partitions": kafka.partitions,
            "replication_factor": kafka.replication_factor,
            "configs": config,
        }
        try:
            admin.create_topics({topic: shape for topic in missing})
        except TopicAlreadyExistsError:
            pass  # another process was faster
        admin.wait_for_topics(missing)
        log.info("made topics %s", ", ".join(missing))
    except KafkaError as error:
        raise BrokerUnreachableError(
            f"Topics {', '.join(wanted)} could not be made at {bootstrap_servers} ({type(error).__name__})",
            "Is the broker up, and are we allowed to?",
        ) from error
    finally:
        admin.close()


def topic_ids(settings: Settings, bootstrap_servers: str) -> dict[str, str]:
    """Ask for the id of every topic by name: a topic made anew has another (KIP-516).

    Raises:
        BrokerUnreachableError: no broker answers.
    """
    admin = admin_client(settings, bootstrap_servers)
    try:
        described = admin.describe_topics()
    except KafkaError as error:
        raise BrokerUnreachableError(
            f"No Kafka broker answers at {bootstrap_servers} ({type(error).__name__})"
        ) from error
    finally:
        admin.close()
    return {topic["name"]: str(topic["topic_id"]) for topic in described if not topic.get("is_internal")}


def earliest_offsets(settings: Settings, bootstrap_servers: str, topics: Collection[str]) -> dict[tuple[str, int], int]:
    """Ask for the first offset that Kafka still holds, of every partition of some topics.

    Raises:
        BrokerUnreachableError: no broker answers.
    """
    try:
        consumer = KafkaConsumer(**client_config(settings, bootstrap_servers), enable_auto_commit=False)
        try:
            parts = [TopicPartition(t, number) for t in topics for number in consumer.partitions_for_topic(t) or ()]
            found = consumer.beginning_offsets(parts)
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerUnreachableError(
            f"No Kafka broker answers at {bootstrap_servers} ({type(error).__name__})"
        ) from error
    return {(partition.topic, partition.partition): offset for partition, offset in found.items()}
