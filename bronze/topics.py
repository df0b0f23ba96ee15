"""Topics are made here, with partitions and retention, and never by themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from kafka.errors import KafkaError, TopicAlreadyExistsError

from bronze.kafka_client import BrokerUnreachableError, admin_client
from lakehouse.settings import Settings

log = logging.getLogger(__name__)


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
