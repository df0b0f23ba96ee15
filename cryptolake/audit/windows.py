"""Five-minute bars computed again from the stored one-minute bars, and held against the stored ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cryptolake.audit.bars import AVERAGE, BAR_COLUMNS, MAX_DIGITS, SCALES, Bar, BarComparison, vwap
from cryptolake.audit.exact import fits, half_up, scaled_ints
from cryptolake.audit.kinds import VOLUME
from cryptolake.audit.minutes import Minutes, five_minutes_of, spread
from cryptolake.audit.result import CheckResult
from cryptolake.audit.spill import Ints, Spill

_PRICE_SUM_DIGITS = 34
_SCHEMA = pa.schema([("minute", pa.int64()), *BAR_COLUMNS.items()])


class WindowsCheck:
    """Collects bars of one and of five minutes, then compares part by part.

    Args:
        minutes: numbers of minutes; a window has that of its first.
        folder: for rows put aside.
        parts: into how many parts.
        examples: failures shown per check.
    """

    def __init__(self, minutes: Minutes, folder: Path, parts: int, examples: int) -> None:
        self._minutes = minutes
        self._bars = Spill(folder, "window.bars", _SCHEMA, parts)
        self._windows = Spill(folder, "window.windows", _SCHEMA, parts)
        self._waiting: list[Ints] = [np.zeros(0, dtype=np.int64)]
        self._comparison = BarComparison(
            "silver.five_minute_bars",
            "each equals what the one-minute bars give, to the last digit; none is missing",
            "no bar in those five minutes",
            minutes,
            examples,
        )

    def add_bars(self, batch: Any) -> None:
        """Add rows of silver.one_minute_bars."""
        self._spill(self._bars, batch, self._minutes.of(batch, "minute"))

    def add_windows(self, batch: Any) -> None:
        """Add rows of silver.five_minute_bars."""
        self._spill(self._windows, batch, self._minutes.of(batch, "window_start"))

    def add_in_flight(self, batch: Any) -> None:
        """Add keys of one-minute bars whose window aggregate has not settled yet."""
        self._waiting.append(np.unique(five_minutes_of(self._minutes.of(batch, "minute"))))

    def in_flight(self) -> Ints:
        """The five minutes that aggregate has not settled yet, sorted."""
        joined = np.unique(np.concatenate(self._waiting))
        self._waiting = [joined]
        return joined

    def results(self) -> list[CheckResult]:
        """Compare all parts and close the checks."""
        waiting = self.in_flight()
        for part in range(self._bars.parts):
            self._comparison.take(dict(_five_minute_bars(self._bars.read(part))), self._windows.read(part), waiting)
        return self._comparison.results()

    @staticmethod
    def _spill(spill: Spill, batch: Any, number: Ints) -> None:
        arrays = [pa.array(number), *(batch.column(name) for name in BAR_COLUMNS)]
        spill.write(pa.RecordBatch.from_arrays(arrays, schema=spill.schema), spread(five_minutes_of(number)))


def _five_minute_bars(bars: Any) -> Iterator[tuple[int, Bar]]:
    numbers: Ints = bars["minute"].to_numpy()
    order = np.argsort(numbers, kind="stable")
    bars = bars.take(pa.array(order))
    columns = [scaled_ints(bars[name]) if name in SCALES else bars[name].to_pylist() for name in BAR_COLUMNS]
    rows = zip(five_minutes_of(numbers[order]).tolist(), map(Bar._make, zip(*columns, strict=True)), strict=True)
    for window, found in groupby(rows, key=itemgetter(0)):
        yield window, _five([bar for _, bar in found])


def _five(minutes: list[Bar]) -> Bar:
    volume = fits(_total([bar.volume for bar in minutes]), VOLUME.precision)
    amount = fits(_total([bar.amount for bar in minutes]), MAX_DIGITS)
    price_sum = _price_sum(minutes)
    count = sum(bar.trade_count for bar in minutes)
    return Bar(
        open=minutes[0].open,
        high=max(bar.high for bar in minutes),
        low=min(bar.low for bar in minutes),
        close=minutes[-1].close,
        volume=volume,
        buy_volume=fits(_total([bar.buy_volume for bar in minutes]), VOLUME.precision),
        amount=amount,
        price_sum=None if price_sum is None else fits(price_sum * 10**8, MAX_DIGITS),
        average_price=None if price_sum is None else fits(half_up(price_sum * 10**4, count), AVERAGE.precision),
        vwap=vwap(amount, volume),
        trade_count=count,
        origin="klines" if any(bar.origin == "klines" for bar in minutes) else "trades",
    )


def _price_sum(minutes: list[Bar]) -> int | None:
    """The sum of prices in 1e-12, which is as fine as prices are."""
    total = _total([None if bar.price_sum is None else half_up(bar.price_sum, 10**8) for bar in minutes])
    return fits(total, _PRICE_SUM_DIGITS)


def _total(parts: list[int | None]) -> int | None:
    found = [part for part in parts if part is not None]
    return sum(found) if len(found) == len(parts) else None
