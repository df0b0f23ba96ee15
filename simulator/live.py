"""Draws the live trades of one venue: Zipf over symbols, autocorrelated taker sides, prices on the market's path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lakehouse.settings import SimulatorMarketSettings
from simulator.catalogue import RANK, Symbol
from simulator.past import flip_probability, price_ticks, quantity_lots
from simulator.paths import US_A_DAY, US_A_SECOND, Paths
from simulator.trades import Bools, Floats, Ints

_US_A_MS = 1_000


@dataclass(frozen=True)
class Drawn:
    """Trades in the order of their time.

    Args:
        place: of the symbol among the flow's live symbols.
        time_us: UTC microseconds, whole milliseconds.
        ticks: price in ticks.
        lots: quantity in lots.
        buy: whether the taker bought.
    """

    place: Ints
    time_us: Ints
    ticks: Ints
    lots: Ints
    buy: Bools

    def __len__(self) -> int:
        return len(self.place)


class LiveFlow:
    """The flow of trades of one venue.

    Args:
        market: parameters, see `SimulatorMarketSettings`.
        paths: the middle prices.
        random: the flow's own random stream.
        basis: constant offset of this venue's log prices.
    """

    def __init__(
        self, market: SimulatorMarketSettings, paths: Paths, random: np.random.Generator, basis: float = 0.0
    ) -> None:
        self._market = market
        self._paths = paths
        self._random = random
        self._basis = basis
        self._mids = lru_cache(maxsize=32)(self._make_mids)
        self.symbols: list[Symbol] = []
        self._since_us: Ints = np.empty(0, dtype=np.int64)
        self._last_side: Ints = np.empty(0, dtype=np.int64)

    def add(self, symbols: Sequence[Symbol], since_us: int) -> None:
        """Let more symbols trade from a time on; what they all share is the venue's rate."""
        self.symbols += symbols
        self._mids.cache_clear()
        ranks = np.array([RANK[symbol.name] + 1 for symbol in self.symbols], dtype=np.float64)
        shares = ranks**-self._market.zipf_exponent
        self._cumulated = np.cumsum(shares) / np.sum(shares)
        self._since_us = np.append(self._since_us, np.full(len(symbols), since_us, dtype=np.int64))
        self._last_side = np.append(self._last_side, self._random.integers(0, 2, len(symbols)))
        self._ticks_a_unit = np.array([10.0**symbol.price_decimals for symbol in self.symbols])
        self._lots_a_unit = np.array([10.0**symbol.quantity_decimals for symbol in self.symbols])
        self._half_spread = np.array([symbol.half_spread_bp for symbol in self.symbols])
        self._notional = np.array([symbol.median_notional for symbol in self.symbols])

    def draw(self, count: int, after_us: int, until_us: int) -> Drawn:
        """Draw trades at random times of (after_us, until_us], none before its symbol is live."""
        random = self._random
        place = np.searchsorted(self._cumulated, random.random(count), side="right").astype(np.int64)
        span_ms = max((until_us - after_us) // _US_A_MS, 1)
        time_us = np.sort(until_us // _US_A_MS - random.integers(0, span_ms, count)) * _US_A_MS
        time_us = np.maximum(time_us, self._since_us[place])
        buy = self._sides(place)
        log_mid, log_usdt = self._log_mids(place, time_us)
        ticks = price_ticks(
            log_mid + self._basis,
            buy,
            self._half_spread[place],
            self._ticks_a_unit[place],
            self._market.depth_noise,
            random,
        )
        median = self._notional[place] * np.exp(-log_usdt)
        lots = quantity_lots(median, self._lots_a_unit[place], self._market.size_log_deviation, random)
        return Drawn(place, time_us, ticks, lots, buy)

    def _sides(self, place: Ints) -> Bools:
        flips = (self._random.random(len(place)) < flip_probability(self._market)).astype(np.int64)
        order = np.argsort(place, kind="stable")
        ordered = place[order]
        counted = np.cumsum(flips[order])
        starts = np.searchsorted(ordered, ordered)  # first row of each row's symbol
        own = counted - counted[starts] + flips[order][starts]
        sides = np.empty(len(place), dtype=np.int64)
        sides[order] = (self._last_side[ordered] + own) % 2
        self._last_side[place] = sides  # numpy keeps the last of equal indices, which is the latest trade
        buy: Bools = sides == 1
        return buy

    def _log_mids(self, place: Ints, time_us: Ints) -> tuple[Floats, Floats]:
        seconds = time_us // US_A_SECOND
        result = np.empty((2, len(place)), dtype=np.float64)
        for second in np.unique(seconds).tolist():
            rows = seconds == second
            result[:, rows] = self._mids(second)[:, place[rows]]
        return result[0], result[1]

    def _make_mids(self, second: int) -> Floats:
        day, rest = divmod(second, US_A_DAY // US_A_SECOND)
        own = [self._paths.day(symbol, day)[rest] for symbol in self.symbols]
        usdt = [self._paths.day(symbol.in_usdt, day)[rest] for symbol in self.symbols]
        return np.array([own, usdt])

    def log_quote_usdt(self, symbol: Symbol, time_us: int) -> float:
        """Give the log price of a cross's quote asset in USDT."""
        time = np.array([time_us], dtype=np.int64)
        return float(self._paths.log_mid(symbol.in_usdt, time)[0] - self._paths.log_mid(symbol, time)[0])
