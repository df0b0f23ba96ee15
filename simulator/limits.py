"""Request weights as Binance counts them: per address and clock minute, 429 above the limit, 418 for who goes on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from lakehouse.settings import SimulatorLimitSettings

_MINUTE_S = 60


@dataclass
class _Address:
    minute: int = -1
    used: int = 0
    refusals: int = 0
    banned_until: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """Whether a request may go through.

    Args:
        status: 200, 429 or 418.
        used: weight used in this minute, for the header.
        retry_after_s: for the header, when refused.
    """

    status: int
    used: int
    retry_after_s: int = 0


@dataclass
class Weights:
    """The weights used by every address.

    Args:
        limits: see `SimulatorLimitSettings`.
    """

    limits: SimulatorLimitSettings
    _addresses: dict[str, _Address] = field(default_factory=dict)

    def use(self, address: str, weight: int) -> Verdict:
        """Count a request and judge it."""
        now = time.time()
        state = self._addresses.setdefault(address, _Address())
        if now < state.banned_until:
            return Verdict(418, state.used, math.ceil(state.banned_until - now))
        minute = int(now) // _MINUTE_S
        if minute != state.minute:
            state.minute, state.used, state.refusals = minute, 0, 0
        if state.used + weight <= self.limits.weight_per_minute:
            state.used += weight
            return Verdict(200, state.used)
        state.refusals += 1
        if state.refusals > self.limits.refusals_before_ban:
            state.banned_until = now + self.limits.ban_s
            return Verdict(418, state.used, math.ceil(self.limits.ban_s))
        return Verdict(429, state.used, _MINUTE_S - int(now) % _MINUTE_S)
