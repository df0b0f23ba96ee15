"""The broker's places under a home: its folder, its log, its lock, and what it tells others."""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from lakehouse.file_lock import taken


@dataclass(frozen=True)
class RunningBroker:
    """What `run/broker.json` says of a healthy broker."""

    pid: int
    bootstrap_servers: str


class BrokerFiles:
    """The files of one home's broker.

    The lock is an open file handed down to the JVM, so the kernel holds it for as long as that JVM lives, whatever
    becomes of its parent; a pid alone could by now be another process.

    Args:
        home: the home's folder.
    """

    def __init__(self, home: Path) -> None:
        home = home.resolve()
        self.folder = home / "kafka"
        self.data = self.folder / "data"
        self.properties = self.folder / "server.properties"
        self.ports = self.folder / "ports.json"
        self.log = home / "logs" / "broker.log"
        self._state = home / "run" / "broker.json"
        self._lock = home / "run" / "broker.lock"

    def make(self) -> None:
        """Make the folders that are not there."""
        for folder in (self.folder, self.log.parent, self._state.parent):
            folder.mkdir(parents=True, exist_ok=True)

    def take_lock(self) -> int | None:
        """Return the descriptor of the lock, inheritable, or None when a broker of this home lives."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        if not taken(descriptor):
            os.close(descriptor)
            return None
        self._state.unlink(missing_ok=True)
        return descriptor

    def locked(self) -> bool:
        """Say whether a broker of this home lives, or is just being started."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write_pid(self, descriptor: int, pid: int) -> None:
        """Note in the lock whose it is, for a stop before the broker is healthy."""
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(pid).encode(), 0)

    def pid(self) -> int | None:
        """The pid of the living broker; None when none lives or its starter has not come that far."""
        if not self.locked():
            return None
        text = self._lock.read_text()
        return int(text) if text.isdigit() else None

    def write_running(self, running: RunningBroker) -> None:
        """Tell others that the broker is healthy."""
        scratch = self._state.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(running)), encoding="utf-8")
        scratch.replace(self._state)

    def running(self) -> RunningBroker | None:
        """Read what a living, healthy broker told; a file that a dead one left counts for nothing."""
        if not self.locked() or not self._state.is_file():
            return None
        return RunningBroker(**json.loads(self._state.read_text(encoding="utf-8")))

    def forget(self) -> None:
        """Remove what a stopped broker told."""
        self._state.unlink(missing_ok=True)

    def cluster_id(self) -> str | None:
        """The id the storage was formatted with; None when it is not formatted."""
        path = self.data / "meta.properties"  # written last by the formatter
        if not path.is_file():
            return None
        found = re.search(r"^cluster\.id=(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        return found.group(1).strip() if found else None
