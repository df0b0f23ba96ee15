"""Where a bench runs: a folder with a broker, and the processes that read from it, each started and ended here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.oracle import Tables
from benchmarks.usage import family_of
from cryptolake.broker.files import BrokerFiles
from cryptolake.broker.local import LocalBroker
from lakehouse.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
_POLL_S = 0.05
_RETENTION_BYTES = 2**36
_BEGAN = re.compile(r"^began ([0-9.]+)$", re.MULTILINE)
_BATCH = re.compile(r"^(\S+)Z INFO \S+: batch (\d+): (\d+) frames, (.*)$", re.MULTILINE)
_LAP = re.compile(r"(\w+) ([0-9.]+) s")


@dataclass(frozen=True)
class Batch:
    """One batch as the lake's log tells of it: when it ended, its frames, and how long each step took."""

    ended_s: float
    frames: int
    laps_s: Mapping[str, float]


@dataclass
class Site:
    """A folder with a running broker, in which lakes and peers are made."""

    folder: Path
    settings: Settings
    bootstrap_servers: str
    broker_pid: int

    def lake(self, name: str, **variables: str) -> LakeProcess:
        """A lake of our own, not started; variables are settings, as the environment gives them."""
        home = self.folder / name
        command = ["cryptolake", "--home", str(home), "run"]
        variables |= {"CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers}
        return LakeProcess(command, home, variables, tables=Tables.of(home / "lake"))

    def peer(self, name: str) -> Program:
        """The Python peer, not started."""
        lake = self.folder / name
        command = ["benchmarks.peer", self.bootstrap_servers, str(lake)]
        return Program(command, lake, tables=Tables.of(lake))


@dataclass
class Process:
    """A process that can be ended and started again.

    Args:
        command: a module of Python's and its arguments.
        folder: its own.
        variables: for its environment.
    """

    command: list[str]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0

    @property
    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def start(self, *arguments: str) -> None:
        """Start it."""
        environment = os.environ | self.variables | {"PYTHONPATH": str(ROOT)}
        self.started_s = time.time()
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", *self.command, *arguments]
            self.process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended by itself.

        Raises:
            RuntimeError: it failed; with the end of its log.
            subprocess.TimeoutExpired: it still runs; it is killed.
        """
        assert self.process is not None  # noqa: S101 - it was started
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        if code:
            raise RuntimeError(f"{self.folder.name} ended with {code}:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """End it as `kill -9` does, with all that it has started."""
        if (pid := self.pid) is None or self.process is None:
            return
        for each in family_of(pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout_s: float = 60) -> None:
        """Let it end what it is at."""
        if self.process is None or self.pid is None:
            return
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)
        self.kill()


@dataclass
class Program(Process):
    """A process that carries the topic into tables.

    Args:
        tables: what it writes.
    """

    tables: Tables = field(kw_only=True)

    @property
    def began_s(self) -> float:
        """When it began to read the topic (seconds since 1970): it says so, before its first question to the broker."""
        return float(_BEGAN.findall(self.log.read_text(encoding="utf-8"))[-1])

    def until_idle(self, timeout_s: float) -> None:
        """Carry what is there, and end."""
        self.start("--until-idle")
        self.wait(timeout_s)


@dataclass
class LakeProcess(Program):
    """Our lake's process, `cryptolake run`, on a home of its own."""

    @property
    def began_s(self) -> float:
        """When the stream planned its first batch (seconds since 1970); of a lake that carries on, the next one."""
        planned = (self.folder / "checkpoints" / "land" / "offsets").glob("[0-9]*")
        return min(at_s for file in planned if (at_s := file.stat().st_ctime) >= self.started_s)

    def batches(self) -> list[Batch]:
        """The batches carried so far."""
        return [_batch(*found) for found in _BATCH.findall(self.log.read_text(encoding="utf-8"))]


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A site whose broker runs until the block ends."""
    settings = load_settings(home=folder / "broker")
    # A backlog must not expire while it is measured.
    kafka = settings.kafka.model_copy(update={"retention_bytes": _RETENTION_BYTES})
    settings = settings.model_copy(update={"kafka": kafka})
    broker = LocalBroker(settings)
    try:
        bootstrap_servers = broker.start()
        running = BrokerFiles(settings.home).running()
        yield Site(folder, settings, bootstrap_servers, running.pid if running else 0)
    finally:
        broker.stop()


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it did not come to hold.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(_POLL_S)


def _batch(ended: str, _: str, frames: str, laps: str) -> Batch:
    at = datetime.fromisoformat(ended).replace(tzinfo=UTC).timestamp()
    return Batch(at, int(frames), {name: float(seconds) for name, seconds in _LAP.findall(laps)})
