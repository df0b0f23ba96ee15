"""Start, find and stop the one local broker of a home."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from cryptolake.broker.config import broker_command, format_command, server_properties
from cryptolake.broker.files import BrokerFiles, RunningBroker
from cryptolake.broker.health import is_healthy
from cryptolake.broker.ports import LOOPBACK, choose
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

T = TypeVar("T")

_POLL_S = 0.1
_START_ATTEMPTS = 3  # another process may take a free port before the broker binds it


class BrokerError(CryptolakeError):
    """The local broker could not be started or stopped."""


class BrokerRunningError(BrokerError):
    """This home's broker runs already."""


class LocalBroker:
    """One Kafka node (KRaft, broker and controller) on loopback, with its data under `<home>/kafka`.

    Args:
        settings: the home, and the sizes and times of section `kafka`.
    """

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._files = BrokerFiles(settings.home)
        self._process: subprocess.Popen[bytes] | None = None
        self._adopted = False

    @property
    def alive(self) -> bool:
        """Whether the broker that this object started or adopted still runs."""
        if self._process is not None:
            return self._process.poll() is None
        return self._adopted and self._files.locked()

    def start(self, *, adopt: bool = False) -> str:
        """Start the broker and wait until it answers; clients find it at the same address after a restart.

        Args:
            adopt: take over a broker of this home whose starter was killed, instead of refusing; `stop` then stops it.

        Returns:
            the bootstrap servers, "127.0.0.1:<port>".

        Raises:
            BrokerRunningError: this home's broker runs already, and is not to be adopted.
            BrokerError: it did not come up; the message names its log.
            SetupError: Java or the jars are missing.
        """
        self._files.make()
        lock = _poll(self._files.take_lock, timeout_s=1.0)
        if lock is None:
            if adopt and (running := _await_running(self._files, self._kafka.broker_start_timeout_s)):
                self._adopted = True
                return running.bootstrap_servers
            raise BrokerRunningError(
                f"The broker of {self._files.folder.parent} runs already", "Use it, or stop it with `cryptolake down`."
            )
        try:
            return self._start_locked(lock)
        except BaseException:
            self._kill_own()
            raise
        finally:
            os.close(lock)  # from here on the JVM alone holds it

    def stop(self) -> None:
        """Stop the broker cleanly, or kill it when it does not end in time; its data stay."""
        if self._process is not None or self._adopted:
            stop_running(self._files, self._kafka.broker_stop_timeout_s)
        if self._process is not None:
            self._process.wait()
        self._process = None
        self._adopted = False

    def _start_locked(self, lock: int) -> str:
        for _ in range(_START_ATTEMPTS):
            ports = choose(self._files.ports)
            self._files.properties.write_text(server_properties(self._kafka, self._files.data, ports), encoding="utf-8")
            self._format_once()
            log_start = self._files.log.stat().st_size if self._files.log.exists() else 0
            process = self._spawn(lock)
            if self._await_healthy(process, ports[0]):
                running = RunningBroker(process.pid, f"{LOOPBACK}:{ports[0]}")
                self._files.write_running(running)
                return running.bootstrap_servers
            if not self._lost_its_port(log_start):
                break
            self._files.ports.unlink()
        raise BrokerError("The local broker did not come up", f"See {self._files.log}.")

    def _format_once(self) -> None:
        if self._files.cluster_id() is not None:
            return
        command = format_command(self._files, _new_cluster_id())
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if done.returncode != 0:
            tail = " ".join((done.stderr or done.stdout).split()[-40:])
            raise BrokerError(f"The broker's storage in {self._files.data} could not be formatted: {tail}")

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        with self._files.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                broker_command(self._kafka, self._files),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops its children in their order
            )
        self._files.write_pid(lock, process.pid)
        self._process = process
        return process

    def _await_healthy(self, process: subprocess.Popen[bytes], port: int) -> bool:
        cluster_id = self._files.cluster_id()
        deadline = time.monotonic() + self._kafka.broker_start_timeout_s
        while time.monotonic() < deadline and process.poll() is None:
            if is_healthy(port, cluster_id):
                return True
            time.sleep(_POLL_S)
        return False

    def _lost_its_port(self, log_start: int) -> bool:
        with self._files.log.open("rb") as log:
            log.seek(log_start)
            return b"Address already in use" in log.read()

    def _kill_own(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def running_broker(settings: Settings) -> RunningBroker | None:
    """Find the living broker of this home; what a dead one left behind counts for nothing."""
    return BrokerFiles(settings.home).running()


def stop_broker(settings: Settings) -> bool:
    """Stop this home's broker, whoever started it; return whether one was running.

    Raises:
        BrokerError: it does not go.
    """
    return stop_running(BrokerFiles(settings.home), settings.kafka.broker_stop_timeout_s)


@contextmanager
def broker_for(settings: Settings) -> Iterator[str]:
    """Yield bootstrap servers: the configured cluster, else this home's running broker, else one for this block.

    A broker started here is stopped at the end of the block; its data stay.

    Raises:
        BrokerError: a broker had to be started and did not come up.
        SetupError: Java or the jars are missing.
    """
    if settings.kafka.bootstrap_servers:
        yield settings.kafka.bootstrap_servers
        return
    running = _await_running(BrokerFiles(settings.home), settings.kafka.broker_start_timeout_s)
    if running is not None:
        yield running.bootstrap_servers
        return
    broker = LocalBroker(settings)
    try:
        yield broker.start()
    finally:
        broker.stop()


def stop_running(files: BrokerFiles, timeout_s: float) -> bool:
    """Stop the broker that holds these files' lock: SIGTERM, and SIGKILL when the time is over."""
    pid = files.pid()
    if pid is None:
        return False
    for sign, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):  # it may end between the look and the signal
            os.kill(pid, sign)
        if _poll(lambda: not files.locked(), timeout_s=patience_s):
            files.forget()
            return True
    raise BrokerError(f"The broker (pid {pid}) does not end", "Look at it with `ps`.")


def _await_running(files: BrokerFiles, timeout_s: float) -> RunningBroker | None:
    """Find the living broker, waiting for one that is just being started."""
    return _poll(files.running, timeout_s, unless=lambda: not files.locked())


def _poll(look: Callable[[], T | None], timeout_s: float, unless: Callable[[], bool] = lambda: False) -> T | None:
    """Look until something (not None, not False) is seen, the time is over, or there is no more sense in it."""
    deadline = time.monotonic() + timeout_s
    while True:
        pointless = unless()
        seen = look()
        if (seen is not None and seen is not False) or pointless or time.monotonic() > deadline:
            return seen
        time.sleep(_POLL_S)


def _new_cluster_id() -> str:
    """A random Kafka Uuid; one that begins with a dash would be read as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
