"""Trades of the past, made on demand from (seed, symbol, UTC day): the same whenever and in whatever order asked.

Every day holds the same number of trades (minutes differ), so the id of any trade follows from its day without looking
at the days before.
"""

from __future__ import annotations

import calendar
from functools import lru_cache

import numpy as np

from lakehouse.settings import SimulatorMarketSettings
from simulator.catalogue import Symbol, first_id
from simulator.paths import MINUTES_A_DAY, US_A_DAY, Paths, Purpose, generator
from simulator.trades import Bools, Floats, Ints, Trades, joined

_MS_A_MINUTE = 60_000
_US_A_MS = 1_000


class Past:
    """All trades of every symbol from the epoch on, as if none were ever live.

    Args:
        seed: the market's seed.
        market: parameters, see `SimulatorMarketSettings`.
        paths: the middle prices.
    """

    def __init__(self, seed: int, market: SimulatorMarketSettings, paths: Paths) -> None:
        self._seed = seed
        self._market = market
        self._paths = paths
        self._epoch_day = calendar.timegm(market.epoch_utc.timetuple()) // 86_400
        self._trades_a_day = market.past_trades_per_minute * MINUTES_A_DAY
        self._day = lru_cache(maxsize=256)(self._make_day)

    @property
    def epoch_us(self) -> int:
        """Midnight of the first trade, UTC microseconds."""
        return self._epoch_day * US_A_DAY

    def next_id(self, symbol: Symbol, time_us: int) -> int:
        """Give the id of the first trade at or after a time."""
        if time_us <= self.epoch_us:
            return first_id(symbol)
        day = self._day(symbol, time_us // US_A_DAY)
        return day.first_id + int(np.searchsorted(day.time_us, time_us))

    def between(self, symbol: Symbol, start_us: int, end_us: int) -> Trades:
        """Give the trades of [start_us, end_us)."""
        return self.by_id(symbol, self.next_id(symbol, start_us), self.next_id(symbol, end_us))

    def by_id(self, symbol: Symbol, start: int, end: int) -> Trades:
        """Give the trades of the ids [start, end), none before the epoch."""
        start = max(start, first_id(symbol))
        parts = []
        at = start
        while at < end:
            day = self._day(symbol, self._epoch_day + (at - first_id(symbol)) // self._trades_a_day)
            part = day[at - day.first_id : end - day.first_id]
            parts.append(part)
            at += len(part)
        return joined(parts, start)

    def _make_day(self, symbol: Symbol, day: int) -> Trades:
        market = self._market
        random = generator(self._seed, symbol.name, Purpose.TRADES, day)
        count = self._trades_a_day
        crowding = market.activity_elasticity * market.volatility_of_volatility
        weights = np.exp(
            crowding * self._paths.activity(symbol, day) + market.activity_noise * random.standard_normal(MINUTES_A_DAY)
        )
        minute = np.repeat(np.arange(MINUTES_A_DAY), _apportioned(weights, count))
        since_midnight_ms = np.sort(minute * _MS_A_MINUTE + random.integers(0, _MS_A_MINUTE, count))
        flips = random.random(count) < flip_probability(market)
        buy = (np.cumsum(flips) + random.integers(2)) % 2 == 1
        log_mid = self._paths.day(symbol, day)[since_midnight_ms // 1_000]
        return Trades(
            first_id(symbol) + (day - self._epoch_day) * count,
            day * US_A_DAY + since_midnight_ms * _US_A_MS,
            price_ticks(
                log_mid, buy, symbol.half_spread_bp, float(10**symbol.price_decimals), market.depth_noise, random
            ),
            quantity_lots(
                symbol.median_notional * np.exp(-self._usdt_log_mid(symbol, day)[since_midnight_ms // 1_000]),
                float(10**symbol.quantity_decimals),
                market.size_log_deviation,
                random,
            ),
            buy,
        )

    def _usdt_log_mid(self, symbol: Symbol, day: int) -> Floats:
        return self._paths.day(symbol.in_usdt, day)


def flip_probability(market: SimulatorMarketSettings) -> float:
    """Give the chance that the taker's side changes: two states with autocorrelation r stay with (1 + r) / 2."""
    return (1 - market.taker_side_autocorrelation) / 2


def price_ticks(
    log_mid: Floats,
    buy: Bools,
    half_spread_bp: float | Floats,
    ticks_a_unit: float | Floats,
    depth_noise: float,
    random: np.random.Generator,
) -> Ints:
    """Price trades at or beyond the best quote: buys at the ask rounded up to a tick, sells at the bid rounded down."""
    beyond = 1 + depth_noise * random.standard_exponential(len(log_mid))
    offset = half_spread_bp * 1e-4 * beyond
    exact = np.exp(log_mid) * np.where(buy, 1 + offset, 1 - offset) * ticks_a_unit
    rounded = np.where(buy, np.ceil(exact), np.floor(exact)).astype(np.int64)
    return np.maximum(rounded, 1)


def quantity_lots(
    median_quantity: Floats, lots_a_unit: float | Floats, log_deviation: float, random: np.random.Generator
) -> Ints:
    """Draw lognormal sizes in lots, at least one."""
    sizes = median_quantity * np.exp(log_deviation * random.standard_normal(len(median_quantity))) * lots_a_unit
    return np.maximum(np.rint(sizes).astype(np.int64), 1)


def _apportioned(weights: Floats, total: int) -> Ints:
    """Split `total` by weights into whole numbers that add up to it."""
    bounds = np.rint(np.cumsum(weights) / np.sum(weights) * total).astype(np.int64)
    return np.diff(bounds, prepend=0)
