"""Whether a broker answers, asked as a client would ask."""

from __future__ import annotations

import socket

from cryptolake.broker.ports import LOOPBACK


def is_healthy(port: int, cluster_id: str | None, timeout_ms: int = 5_000) -> bool:
    """Say whether the local broker on this port serves the metadata of this cluster, its broker in service."""
    from kafka.admin import KafkaAdminClient  # half a cpu-s that those who only look for a broker are spared
    from kafka.errors import KafkaError

    try:
        # The admin client would log a connection error for every look at a port that is not open yet.
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        admin = KafkaAdminClient(
            bootstrap_servers=f"{LOOPBACK}:{port}", bootstrap_timeout_ms=timeout_ms, request_timeout_ms=timeout_ms
        )
    except (OSError, KafkaError):
        return False
    try:
        cluster = admin.describe_cluster()
    except KafkaError:
        return False
    finally:
        admin.close()
    in_service = [broker for broker in cluster["brokers"] if not broker.get("is_fenced")]
    return bool(in_service) and cluster["cluster_id"] == cluster_id
