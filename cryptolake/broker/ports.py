"""Loopback ports for the broker that stay the same over restarts."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below every system's range of outgoing ports (Linux 32768-60999, macOS from 49152): a client that dials a port of
# that range while the broker is down can be given the very same port for its own end, and then it talks to itself
# and keeps the port from the broker.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Say whether a listener could be bound to the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(path: Path) -> tuple[int, int]:
    """Return the ports of broker and controller: the ones noted in the file where still free, else others.

    The choice is noted in the file, so that clients keep their address over a restart.
    """
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    chosen = [port for port in noted if is_free(port)] if len(noted) == 2 else []
    if len(chosen) < 2:
        chosen = _two_free()
    path.write_text(json.dumps(chosen), encoding="utf-8")
    return chosen[0], chosen[1]


def _two_free() -> list[int]:
    # Not the shared generator: a program that has seeded it would be given the same ports in every process.
    candidates = random.SystemRandom().sample(_RANGE, len(_RANGE))
    free = (port for port in candidates if is_free(port))
    return [next(free), next(free)]
