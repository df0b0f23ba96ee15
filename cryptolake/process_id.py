"""Which process a recorded pid meant: pids are used again, start times are not."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessId:
    """A pid and when that process started, in the system's own terms."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Identify a process that runs now; None when there is none (a zombie counts as none)."""
        started = _start_time(pid)
        return cls(pid, started) if started else None

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return ProcessId.of(self.pid) == self


def own_process_id() -> ProcessId:
    """Identify this process."""
    found = ProcessId.of(os.getpid())
    return found or ProcessId(os.getpid(), "")


def _start_time(pid: int) -> str | None:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, in parentheses, may itself hold spaces and parentheses.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(  # noqa: S603 - fixed command
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    state, _, started = shown.partition(" ")
    return started.strip() if started and not state.startswith("Z") else None
