"""How long each stage of a batch took."""

from __future__ import annotations

import time


class Stopwatch:
    """Measures laps from its making on; its text is for a log line."""

    def __init__(self) -> None:
        self.laps_s: dict[str, float] = {}
        self._last_s = time.monotonic()

    def lap(self, name: str) -> None:
        """Note the time since the last lap under a name."""
        now_s = time.monotonic()
        self.laps_s[name] = round(now_s - self._last_s, 3)
        self._last_s = now_s

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.laps_s.items())
