"""The middle price of every symbol at every second, as a function of (seed, symbol, second) alone.

Two levels: the log price at each UTC midnight is a slowly mean-reverting sum of past daily shocks, and the seconds of
a day are a random walk bent (a bridge) so that it ends at the next midnight's level. So any day can be made without the
days before it, days join without a jump, and past, live and restarted market follow one path.
"""

from __future__ import annotations

import math
from enum import IntEnum
from functools import lru_cache
from zlib import crc32

import numpy as np

from lakehouse.settings import SimulatorMarketSettings
from simulator.catalogue import BY_NAME, Symbol
from simulator.trades import Floats, Ints

MINUTES_A_DAY = 1_440
SECONDS_A_DAY = 86_400
US_A_SECOND = 1_000_000
US_A_DAY = SECONDS_A_DAY * US_A_SECOND
_MIDNIGHTS = 36_525  # a hundred years of UTC midnights
_COMMON = "the whole market"


class Purpose(IntEnum):
    """What a random stream is for, so that no two share their numbers."""

    MIDNIGHT = 1
    SECOND = 2
    VOLATILITY = 3
    TRADES = 4
    LIVE = 5
    FAULTS = 6


def generator(seed: int, name: str, purpose: Purpose, day: int) -> np.random.Generator:
    """Give the random stream of one name, purpose and UTC day (or other counter)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, crc32(name.encode()), purpose, day))))


class Paths:
    """Log middle prices on a grid of seconds.

    Volatility is lognormal: its logarithm is a moving average of minute shocks with an exponential kernel, partly
    common to all symbols, so calm and wild hours cluster. Returns share one Gaussian factor.

    Args:
        seed: the market's seed.
        market: parameters, see `SimulatorMarketSettings`.
    """

    def __init__(self, seed: int, market: SimulatorMarketSettings) -> None:
        self._seed = seed
        self._market = market
        self._midnights = lru_cache(maxsize=None)(self._make_midnights)
        self._shocks = lru_cache(maxsize=8)(self._make_shocks)
        self._log_volatility = lru_cache(maxsize=256)(self._make_log_volatility)
        self._day = lru_cache(maxsize=64)(self._make_day)

    def day(self, symbol: Symbol, day: int) -> Floats:
        """Give the log middle price at each of the 86,400 seconds of a UTC day (days since 1970)."""
        return self._day(symbol, day)

    def log_mid(self, symbol: Symbol, time_us: Ints) -> Floats:
        """Give the log middle price at times in UTC microseconds, in any order."""
        days, rest = np.divmod(time_us, US_A_DAY)
        seconds = rest // US_A_SECOND
        result = np.empty(len(time_us), dtype=np.float64)
        for day in np.unique(days).tolist():
            rows = days == day
            result[rows] = self.day(symbol, day)[seconds[rows]]
        return result

    def activity(self, symbol: Symbol, day: int) -> Floats:
        """Give the log volatility of each minute of a day in units of its own standard deviation, shape (1440,)."""
        share = self._market.volatility_common_share
        common, own = self._log_volatility(_COMMON, day), self._log_volatility(symbol.name, day)
        return math.sqrt(share) * common + math.sqrt(1 - share) * own

    def _make_day(self, symbol: Symbol, day: int) -> Floats:
        if symbol.start_price is None:
            legs = BY_NAME[symbol.base + "USDT"], BY_NAME[symbol.quote + "USDT"]
            return self.day(legs[0], day) - self.day(legs[1], day)
        market = self._market
        spread_of_log = market.volatility_of_volatility
        minute = symbol.daily_volatility / math.sqrt(SECONDS_A_DAY)
        # E[exp(2 s v)] = exp(2 s^2): the correction keeps a day's variance at its square whatever the clustering
        sigma = minute * np.exp(spread_of_log * self.activity(symbol, day) - spread_of_log**2)
        loading = market.factor_loading
        shocks = loading * self._shocks(_COMMON, day) + math.sqrt(1 - loading**2) * self._shocks(symbol.name, day)
        walk = np.cumsum(np.repeat(sigma, 60) * shocks)
        here, there = (self._midnight(symbol, each) for each in (day, day + 1))
        elapsed = np.arange(1, SECONDS_A_DAY + 1) / SECONDS_A_DAY
        bridged: Floats = here + walk + elapsed * (there - here - walk[-1])
        return bridged

    def _midnight(self, symbol: Symbol, day: int) -> float:
        loading = self._market.factor_loading
        common, own = self._midnights(_COMMON)[day], self._midnights(symbol.name)[day]
        shift = loading * common + math.sqrt(1 - loading**2) * own
        return math.log(symbol.start_price or 1.0) + symbol.daily_volatility * float(shift)

    def _make_midnights(self, name: str) -> Floats:
        shocks = generator(self._seed, name, Purpose.MIDNIGHT, 0).standard_normal(_MIDNIGHTS)
        kernel = _kernel(self._market.level_half_life_days, 8 * int(self._market.level_half_life_days))
        return np.convolve(shocks, kernel)[:_MIDNIGHTS]

    def _make_shocks(self, name: str, day: int) -> Floats:
        return generator(self._seed, name, Purpose.SECOND, day).standard_normal(SECONDS_A_DAY)

    def _make_log_volatility(self, name: str, day: int) -> Floats:
        minutes = [
            generator(self._seed, name, Purpose.VOLATILITY, each).standard_normal(MINUTES_A_DAY)
            for each in (day - 1, day)
        ]
        kernel = _kernel(self._market.volatility_half_life_min, MINUTES_A_DAY + 1)
        kernel /= math.sqrt(float(np.sum(kernel**2)))
        return np.convolve(np.concatenate(minutes), kernel, mode="valid")[-MINUTES_A_DAY:]


def _kernel(half_life: float, length: int) -> Floats:
    kernel: Floats = 0.5 ** (np.arange(length) / half_life)
    return kernel
