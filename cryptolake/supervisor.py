"""Starts the processes of a home, keeps them running, and stops them in their order."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cryptolake.child import SUPERVISOR_PID
from cryptolake.children import Child, ChildSpec, last_line, signal_group, stop_children
from cryptolake.logs import put_away
from cryptolake.process_id import ProcessId, own_process_id
from cryptolake.run_files import read_json, run_file, write_json
from cryptolake.waiting import wait_until
from lakehouse.errors import CryptolakeError
from lakehouse.file_lock import taken
from lakehouse.settings import Settings

log = logging.getLogger(__name__)


class SupervisorError(CryptolakeError):
    """The processes of a home could not be started or stopped."""


@dataclass
class Supervisor:
    """The processes of one home under one parent; call `start`, then `tick` several times a second, then `stop`.

    Children are started by the thread that calls `tick`, each in a session of its own, so that Ctrl-C of a terminal
    reaches the supervisor alone.

    Args:
        settings: the home, and the times of section `supervisor`.
        specs: what to run.
    """

    settings: Settings
    specs: Iterable[ChildSpec]
    children: dict[str, Child] = field(default_factory=dict)
    _lock: IO[str] | None = None
    _written: str = ""

    def start(self) -> None:
        """Become the one supervisor of the home.

        Raises:
            SupervisorError: another one is at work.
        """
        self.children = {spec.name: Child(spec) for spec in self.specs}
        self._lock = _take_lock(self.settings)
        end_recorded(self.settings, self.settings.supervisor.stop_timeout_s)
        self._note()

    def add(self, spec: ChildSpec) -> Child:
        """Add a process; it is started by the next `tick` that finds what it needs."""
        self.children[spec.name] = Child(spec)
        return self.children[spec.name]

    def tick(self) -> None:
        """Look after every child once: start it, notice its end, start it again when its time has come."""
        now = time.monotonic()
        for child in self.children.values():
            put_away(self.log_path(child.spec.name), self.settings.supervisor.log_bytes)
            if child.alive:
                self._look_at(child, now)
            elif child.state in ("running", "ready"):
                self._note_end(child, now)
            elif child.state == "backing off" and now >= child.start_again_at:
                child.restarts += 1
                self._spawn(child, now)
            elif child.state == "waiting" and child.spec.may_start():
                self._spawn(child, now)
        self._note()

    def stop(self) -> None:
        """Stop all children, stage by stage, and leave nothing behind; what does not end in time is killed."""
        stages = sorted({child.spec.stage for child in self.children.values()})
        for stage in stages:
            stop_children([child for child in self.children.values() if child.spec.stage == stage])
        run_file(self.settings, "supervisor").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def log_path(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.settings.home.resolve() / "logs" / f"{name}.log"

    def _look_at(self, child: Child, now: float) -> None:
        ready = child.spec.ready
        if child.state == "running" and child.process and (ready is None or ready(child.process.pid)):
            child.state = "ready"
        if child.failures and now - child.started_at > self.settings.supervisor.stable_after_s:
            child.failures = 0
            child.problem = ""

    def _note_end(self, child: Child, now: float) -> None:
        child.exit_code = child.process.returncode if child.process else None
        if child.process:
            # What it started must not work on beside its successor; the group is empty when it ended well.
            signal_group(child.process.pid, signal.SIGKILL)
        if child.spec.once and child.exit_code == 0:
            child.state = "done"
            return
        child.failures += 1
        child.problem = last_line(self.log_path(child.spec.name)) or f"ended with exit code {child.exit_code}"
        times = self.settings.supervisor
        wait_s = min(times.restart_backoff_max_s, times.restart_backoff_s * 2 ** (child.failures - 1))
        child.start_again_at = now + wait_s
        # Wrong usage stays wrong however often it is tried.
        child.state = "failed" if child.exit_code == 2 else "backing off"
        log.warning("%s ended with exit code %s: %s", child.spec.name, child.exit_code, child.problem)

    def _spawn(self, child: Child, now: float) -> None:
        path = self.log_path(child.spec.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **child.spec.environment(), SUPERVISOR_PID: str(os.getpid())}
        with path.open("ab") as out:
            child.process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", "cryptolake.child", *child.spec.command()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
            )
        child.identity = ProcessId.of(child.process.pid)
        child.state, child.started_at, child.exit_code = "running", now, None

    def _note(self) -> None:
        me = own_process_id()
        content = {
            "pid": me.pid,
            "started": me.started,
            "children": {
                name: {
                    "state": child.state,
                    "pid": child.identity.pid if child.identity and child.alive else None,
                    "started": child.identity.started if child.identity and child.alive else None,
                    "restarts": child.restarts,
                    "problem": child.problem,
                }
                for name, child in self.children.items()
            },
        }
        if str(content) != self._written:
            write_json(run_file(self.settings, "supervisor"), content)
            self._written = str(content)


def running_supervisor(settings: Settings) -> ProcessId | None:
    """Find the supervisor of this home that runs now."""
    noted = read_json(run_file(settings, "supervisor"))
    found = ProcessId(int(noted.get("pid", 0)), str(noted.get("started", "")))
    return found if found.alive() else None


def stop_running(settings: Settings) -> bool:
    """Stop the supervisor of this home and with it all it started; return whether anything ran."""
    supervisor = running_supervisor(settings)
    if supervisor is None:
        return end_recorded(settings, settings.supervisor.stop_timeout_s, ask=True)
    os.kill(supervisor.pid, signal.SIGTERM)
    if not wait_until(lambda: not supervisor.alive(), settings.supervisor.stop_timeout_s + 3.0):
        os.kill(supervisor.pid, signal.SIGKILL)
        wait_until(lambda: not supervisor.alive(), 5.0)
        end_recorded(settings, 1.0)
    return True


def end_recorded(settings: Settings, timeout_s: float, *, ask: bool = False) -> bool:
    """End what a supervisor that was killed has left: children end by themselves, and are killed when they do not.

    Args:
        settings: the home.
        timeout_s: how long they may take.
        ask: send them SIGTERM first.

    Returns:
        whether there were any.
    """
    path = run_file(settings, "supervisor")
    noted = [
        ProcessId(int(child["pid"]), str(child["started"]))
        for child in read_json(path).get("children", {}).values()
        if child.get("pid")
    ]
    left = [child for child in noted if child.alive()]
    for child in left if ask else []:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
    if left and not wait_until(lambda: not any(child.alive() for child in left), timeout_s):
        for child in left:
            if child.alive():
                signal_group(child.pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return bool(left)


def _take_lock(settings: Settings) -> IO[str]:
    path = settings.home.resolve() / "run" / "supervisor.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("w")
    if not taken(lock.fileno()):
        lock.close()
        pid = read_json(run_file(settings, "supervisor")).get("pid", "unknown")
        raise SupervisorError(
            f"The home {settings.home} runs already (pid {pid})", "Stop it with Ctrl-C there or `cryptolake down`."
        )
    return lock
