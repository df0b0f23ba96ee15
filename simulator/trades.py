"""Columns of trades on their integer grid, and the exact decimal text of prices and quantities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WIRE_DECIMALS = 8
_WIRE_UNIT = 10**WIRE_DECIMALS


@dataclass(frozen=True)
class Trades:
    """Trades of one symbol in the order of their ids.

    Args:
        first_id: id of the first row; ids are contiguous.
        time_us: trade time in UTC microseconds, whole milliseconds, never falling.
        ticks: price in ticks.
        lots: quantity in lots.
        buy: whether the taker bought.
    """

    first_id: int
    time_us: Ints
    ticks: Ints
    lots: Ints
    buy: Bools

    def __len__(self) -> int:
        return len(self.time_us)

    def __getitem__(self, rows: slice) -> Trades:
        start, _, _ = rows.indices(len(self))
        return Trades(self.first_id + start, self.time_us[rows], self.ticks[rows], self.lots[rows], self.buy[rows])

    @property
    def ids(self) -> Ints:
        """The id of every row."""
        return np.arange(self.first_id, self.first_id + len(self), dtype=np.int64)


def joined(parts: Iterable[Trades], first_id: int) -> Trades:
    """Put runs of trades that follow each other into one; `first_id` is used when there is none."""
    rows = [part for part in parts if len(part)]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        none = np.empty(0, dtype=np.int64)
        return Trades(first_id, none, none, none, np.empty(0, dtype=np.bool_))
    return Trades(
        rows[0].first_id,
        np.concatenate([part.time_us for part in rows]),
        np.concatenate([part.ticks for part in rows]),
        np.concatenate([part.lots for part in rows]),
        np.concatenate([part.buy for part in rows]),
    )


def wire_text(units: int, decimals: int) -> str:
    """Write a whole number of 10 ** -decimals with eight decimals, as Binance does."""
    whole, part = divmod(units * 10 ** (WIRE_DECIMALS - decimals), _WIRE_UNIT)
    return f"{whole}.{part:08d}"


def decimal_text(units: int, decimals: int) -> str:
    """Write a whole number of 10 ** -decimals with all its decimals, as Bybit does."""
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


def number_text(units: int, decimals: int) -> str:
    """Write a whole number of 10 ** -decimals as a JSON number without needless zeros (an int when whole)."""
    whole, part = divmod(units, 10**decimals)
    if not part:
        return str(whole)
    return f"{whole}.{part:0{decimals}d}".rstrip("0")
