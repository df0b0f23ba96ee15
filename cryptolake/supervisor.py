"""Starts the processes of a home, keeps them running, and stops them in their order."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from cryptolake.child import SUPERVISOR_PID
from cryptolake.process_id import ProcessId, own_process_id
from cryptolake.run_files import read_json, run_file, write_json
from cryptolake.waiting import wait_until
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "ready", "backing off", "done", "failed", "stopped"]
_LOG_LIMIT_BYTES = 16 * 1024 * 1024


class SupervisorError(CryptolakeError):
    """The processes of a home could not be started or stopped."""


@dataclass(frozen=True)
class ChildSpec:
    """One process to run.

    Args:
        name: names its log and its line in `run/supervisor.json`.
        command: the Python module and its arguments, asked for at every start.
        may_start: whether what it needs is there.
        environment: variables added to ours, asked for at every start.
        ready: whether it serves; None means as soon as it runs.
        stage: children of lower stages are stopped first.
        patience_s: how long it may take to end before it is killed.
        once: it is not started again when it ends with exit code 0.
        after_stop: clears what the process itself may have left when it was killed.
    """

    name: str
    command: Callable[[], list[str]]
    may_start: Callable[[], bool] = lambda: True
    environment: Callable[[], Mapping[str, str]] = dict
    ready: Callable[[int], bool] | None = None
    stage: int = 0
    patience_s: float = 5.0
    once: bool = False
    after_stop: Callable[[], object] = lambda: None


@dataclass
class Child:
    """What the supervisor knows of one process."""

    spec: ChildSpec
    state: State = "waiting"
    process: subprocess.Popen[bytes] | None = None
    identity: ProcessId | None = None
    restarts: int = 0
    failures: int = 0
    started_at: float = 0.0
    start_again_at: float = 0.0
    exit_code: int | None = None
    problem: str = ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None


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
            _signal_group(child.process.pid, signal.SIGKILL)
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
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
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
                _signal_group(child.pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return bool(left)


def stop_children(children: list[Child]) -> None:
    """End some children at once: SIGTERM to each, and SIGKILL to its whole group when its patience is over."""
    living = [child for child in children if child.alive and child.process]
    for child in living:
        child.process.terminate()  # type: ignore[union-attr]
    began = time.monotonic()
    for child in living:
        left_s = child.spec.patience_s - (time.monotonic() - began)
        process = child.process
        if process is None:
            continue
        try:
            process.wait(max(0.0, left_s))
        except subprocess.TimeoutExpired:
            log.warning("%s did not end in %.0f s and is killed", child.spec.name, child.spec.patience_s)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
    for child in children:
        child.spec.after_stop()
        if child.state != "done":
            child.state = "stopped"


def last_line(path: Path) -> str:
    """The last line of a log that is not empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _take_lock(settings: Settings) -> IO[str]:
    path = settings.home.resolve() / "run" / "supervisor.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        pid = read_json(run_file(settings, "supervisor")).get("pid", "unknown")
        raise SupervisorError(
            f"The home {settings.home} runs already (pid {pid})", "Stop it with Ctrl-C there or `cryptolake down`."
        ) from None
    return lock


def _signal_group(pid: int, number: signal.Signals) -> None:
    # Children lead groups of their own, so their pid names the group, also when they themselves are gone.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
