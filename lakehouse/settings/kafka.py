"""The broker."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from lakehouse.settings.section import Section


class KafkaSettings(Section):
    """The broker: an own local one when bootstrap_servers is empty, otherwise that cluster."""

    bootstrap_servers: str | None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"]
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] | None
    sasl_username: str | None
    sasl_password: SecretStr | None
    ssl_cafile: str | None
    partitions: int
    replication_factor: int
    retention_ms: int
    retention_bytes: int
    segment_bytes: int
    broker_heap_mb: int
    broker_java_options: str
    broker_start_timeout_s: float
    broker_stop_timeout_s: float
    accept_recreated_topics: tuple[str, ...]
    accept_lost_offsets: tuple[str, ...]
