"""How this code talks to a Kafka cluster, by the settings' security."""

from __future__ import annotations

import logging
import threading
from typing import Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
_BOOTSTRAP_TIMEOUT_MS = 3_000


class BrokerUnreachableError(CryptolakeError):
    """No broker answers."""


def client_config(settings: Settings, bootstrap_servers: str) -> dict[str, Any]:
    """The arguments every kafka-python client of ours takes: addresses and security."""
    kafka = settings.kafka
    config: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in bootstrap_servers.split(",")],
        "security_protocol": kafka.security_protocol,
        "bootstrap_timeout_ms": _BOOTSTRAP_TIMEOUT_MS,
    }
    if kafka.security_protocol != "PLAINTEXT":
        config["ssl_check_hostname"] = True
        if kafka.ssl_cafile:
            config["ssl_cafile"] = kafka.ssl_cafile
    if kafka.sasl_mechanism:
        config["sasl_mechanism"] = kafka.sasl_mechanism
        config["sasl_plain_username"] = kafka.sasl_username
        config["sasl_plain_password"] = kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
    return config


def admin_client(settings: Settings, bootstrap_servers: str) -> KafkaAdminClient:
    """Open an admin client; the caller closes it.

    Raises:
        BrokerUnreachableError: no broker answers.
    """
    try:
        return KafkaAdminClient(**client_config(settings, bootstrap_servers))
    except KafkaError as error:
        raise BrokerUnreachableError(
            f"No Kafka broker answers at {bootstrap_servers} ({type(error).__name__})", "Is it up? `cryptolake doctor`."
        ) from error


def open_producer(settings: Settings, bootstrap_servers: str) -> KafkaProducer:
    """Open an idempotent producer that waits for all replicas and never makes a topic.

    Raises:
        KafkaError: no broker answers.
    """
    collector = settings.collector
    return KafkaProducer(
        **client_config(settings, bootstrap_servers),
        # Said explicitly: otherwise a conflicting setting would switch idempotence off with a warning.
        enable_idempotence=True,
        acks="all",
        allow_auto_create_topics=False,
        linger_ms=collector.linger_ms,
        batch_size=65_536,
        max_request_size=4_194_304,
        delivery_timeout_ms=collector.delivery_timeout_ms,
        request_timeout_ms=min(10_000, collector.delivery_timeout_ms - collector.linger_ms),
        reconnect_backoff_max_ms=1_000,
        max_block_ms=2_000,
        metrics_enabled=False,
    )


def close_producer(producer: KafkaProducer, timeout_s: float) -> None:
    """Close a producer within about the time given, whatever state its cluster is in.

    `close(timeout)` raises with the producer still open when records are not delivered in time; its sender would
    then go on for the whole delivery timeout. What it had not delivered is in the spool.
    """
    ended = threading.Event()

    def close() -> None:
        try:
            producer.close(timeout=timeout_s)
        except KafkaError as error:
            log.info("the producer did not deliver everything before its end (%s)", type(error).__name__)
            sender = producer._sender  # noqa: SLF001 - there is no other way to end it
            sender.force_close()
            sender.join(timeout_s)
        finally:
            ended.set()

    threading.Thread(target=close, name="producer-close", daemon=True).start()
    ended.wait(2 * timeout_s)
