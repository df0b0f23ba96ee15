"""The processes that a supervisor starts: what they are told to be, how they are, and their end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptolake.process_id import ProcessId

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "ready", "backing off", "done", "failed", "stopped"]


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
        signal_group(process.pid, signal.SIGKILL)
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


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and all that it has started."""
    # Children lead groups of their own, so their pid names the group, also when they themselves are gone.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
