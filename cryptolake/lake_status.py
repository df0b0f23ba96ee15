"""What the lake's process says of itself, for the console and the doctor."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping

from cryptolake.run_files import run_file, write_json
from lakehouse.settings import Settings

_WINDOW_S = 10.0


class LakeStatus:
    """Writes `<home>/run/lake.json`: pid, rows per second, the last batch and how long it took.

    Args:
        settings: the home.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = run_file(settings, "lake")
        self._started_at_us = time.time_ns() // 1000
        self._recent: deque[tuple[float, int]] = deque()
        self._batch: dict[str, object] = {}
        self._rows = 0
        self._written_at = float("-inf")

    def batch(self, batch_id: int, rows: int, laps_s: Mapping[str, float]) -> None:
        """Note a batch that is done."""
        self._rows += rows
        self._recent.append((time.monotonic(), rows))
        self._batch = {
            "batch_id": batch_id,
            "batch_rows": rows,
            "batch_s": round(sum(laps_s.values()), 3),
            "laps_s": dict(laps_s),
            "batch_at_us": time.time_ns() // 1000,
        }
        self.write()

    def write(self, every_s: float = 1.0) -> None:
        """Write the file, at most once in `every_s`."""
        now = time.monotonic()
        if now - self._written_at < every_s:
            return
        self._written_at = now
        while self._recent and now - self._recent[0][0] > _WINDOW_S:
            self._recent.popleft()
        status = {
            "pid": os.getpid(),
            "started_at_us": self._started_at_us,
            "rows": self._rows,
            "rows_per_s": round(sum(rows for _, rows in self._recent) / _WINDOW_S, 1),
            **self._batch,
        }
        write_json(self._path, status)
