"""The market's clock: it may start in the past and run fast until it has caught up with the real time."""

from __future__ import annotations

import time

_US = 1_000_000


class MarketClock:
    """UTC microseconds of the simulated market, never falling.

    Args:
        start_back_s: how long before the real time it starts.
        speed: its seconds per real second until it has caught up; then it is the real time.
        not_before_us: where an earlier run stopped; the clock starts there if that is later.
    """

    def __init__(self, start_back_s: float, speed: float, not_before_us: int = 0) -> None:
        real = time.time_ns() // 1_000
        self._started = time.monotonic_ns()
        self._start_us = max(real - int(start_back_s * _US), not_before_us)
        self._speed = speed
        self._last_us = self._start_us

    def now_us(self) -> int:
        """Give the time now."""
        elapsed_us = (time.monotonic_ns() - self._started) // 1_000
        ahead = self._start_us + int(elapsed_us * self._speed)
        real = time.time_ns() // 1_000
        self._last_us = max(self._last_us, min(ahead, real))
        return self._last_us

    @property
    def is_live(self) -> bool:
        """Whether it shows the real time."""
        return self.now_us() >= time.time_ns() // 1_000 - _US
