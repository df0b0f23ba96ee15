"""What processes use: processor time and memory of each with all that it has started, sampled while they run."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_EVERY_S = 0.25


class Sample(NamedTuple):
    """What a process and its descendants have used at a moment (seconds since 1970)."""

    at_s: float
    cpu_s: float
    rss_mb: float


@dataclass
class Usage:
    """Samples processes, by name, until its block ends.

    Args:
        pids: says which process a name stands for now; None while there is none.
    """

    pids: Mapping[str, Callable[[], int | None]]
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def __enter__(self) -> Usage:
        self.samples = {name: [] for name in self.pids}
        self._before: dict[str, tuple[int, float]] = {}  # the process sampled last, and what came before it
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def cpu_s(self, name: str, from_s: float, to_s: float) -> float:
        """Processor time between two moments (seconds since 1970)."""
        samples = self.samples[name]
        return _at(samples, to_s) - _at(samples, from_s)

    def peak_rss_mb(self, name: str, from_s: float = 0, to_s: float = float("inf")) -> float:
        """The most memory in between, all processes of the name together; pages that they share count for each."""
        return max((sample.rss_mb for sample in self.samples[name] if from_s <= sample.at_s <= to_s), default=0.0)

    def _run(self) -> None:
        while not self._ended.wait(_EVERY_S):
            for name, pid_of in self.pids.items():
                if (pid := pid_of()) is not None and (sample := sample_of(pid)) is not None:
                    self._take(name, pid, sample)

    def _take(self, name: str, pid: int, sample: Sample) -> None:
        """Keep a sample so that processor time never falls: what a process used counts on when it has ended."""
        used_s = self.samples[name][-1].cpu_s if self.samples[name] else 0.0
        if self._before.setdefault(name, (pid, 0.0))[0] != pid:
            self._before[name] = (pid, used_s)
        total_s = self._before[name][1] + sample.cpu_s
        self.samples[name].append(sample._replace(cpu_s=max(used_s, total_s)))


def sample_of(pid: int) -> Sample | None:
    """What a process and its descendants have used; None when there is none of this pid."""
    used = [found for each in family_of(pid) if (found := _used(each)) is not None]
    if not used:
        return None
    return Sample(time.time(), sum(cpu for cpu, _ in used), sum(rss for _, rss in used))


def family_of(pid: int) -> list[int]:
    """A process and all that descend from it; nothing when it has ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in family_of(child))]


def _used(pid: int) -> tuple[float, float] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return None
    # utime, stime, and those of children that have ended and were waited for.
    return sum(map(int, fields[11:15])) * _TICK_S, resident * _PAGE_MB


def _at(samples: list[Sample], at_s: float) -> float:
    if not samples:
        return 0.0
    place = bisect_left([sample.at_s for sample in samples], at_s)
    if place == 0:
        return samples[0].cpu_s
    if place == len(samples):
        return samples[-1].cpu_s
    before, after = samples[place - 1], samples[place]
    share = (at_s - before.at_s) / (after.at_s - before.at_s)
    return before.cpu_s + share * (after.cpu_s - before.cpu_s)
