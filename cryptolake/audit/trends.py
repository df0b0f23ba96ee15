"""Six-minute trends computed again from the stored bars, and held against the stored trends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cryptolake.audit.exact import as_text, fits, half_up, scaled_ints
from cryptolake.audit.minutes import Minutes, start_us_of, symbol_of
from cryptolake.audit.places import contains
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.spans import Spans
from cryptolake.audit.spill import Ints, Spill

MINUTES_BEFORE = 5
_AVERAGE, _CHANGE = pa.decimal128(28, 16), pa.decimal128(18, 8)
TREND_COLUMNS = {
    "average_price": _AVERAGE,
    "minutes_present": pa.int32(),
    "change_pct": _CHANGE,
    "trend": pa.string(),
}


class Trend(NamedTuple):
    """A trend in scaled integers, in the order of `TREND_COLUMNS`."""

    average_price: int | None
    minutes_present: int
    change_pct: int | None
    trend: str


class TrendsCheck:
    """Collects bars and trends by symbol, then compares.

    Args:
        minutes: numbers of minutes.
        folder: for rows put aside.
        parts: into how many parts.
        examples: failures shown per check.
    """

    def __init__(self, minutes: Minutes, folder: Path, parts: int, examples: int) -> None:
        self._minutes = minutes
        bar = pa.schema([("minute", pa.int64()), ("average_price", _AVERAGE)])
        self._bars = Spill(folder, "symbol.bars", bar, parts)
        self._trends = Spill(
            folder, "symbol.trends", pa.schema([("minute", pa.int64()), *TREND_COLUMNS.items()]), parts
        )
        self._keys = Tally("silver.six_minute_trends keys", "no minute twice", examples)
        self._trends_check = Tally(
            "silver.six_minute_trends values",
            "each equals what the bars give, to the last digit; none is missing",
            examples,
        )

    def add_bars(self, batch: Any) -> None:
        """Add rows of silver.one_minute_bars."""
        self._spill(self._bars, batch.filter(batch.column("average_price").is_valid()))

    def add_trends(self, batch: Any) -> None:
        """Add rows of silver.six_minute_trends."""
        self._spill(self._trends, batch)

    def results(self, bars_in_flight: Ints, within: Spans | None = None) -> list[CheckResult]:
        """Compare all parts and close the checks.

        Args:
            bars_in_flight: minutes that aggregate has not settled; trends that look back on one are left out.
            within: the trends that were added, when not all; of further bars none is missed.
        """
        ahead = [bars_in_flight + step for step in range(MINUTES_BEFORE + 1)]
        waiting: Ints = np.unique(np.concatenate(ahead))
        for part in range(self._bars.parts):
            bars = self._bars.read(part)
            order = np.argsort(bars["minute"].to_numpy(), kind="stable")
            averages = scaled_ints(bars["average_price"].take(pa.array(order)))
            minutes: Ints = bars["minute"].to_numpy()[order]
            expected = dict(six_minute_trends(minutes.tolist(), averages))  # type: ignore[arg-type]
            if within is not None:
                for minute in minutes[~within.hold(start_us_of(minutes))].tolist():
                    expected.pop(minute, None)
            self._compare(expected, self._trends.read(part), waiting)
        return [self._keys.result(), self._trends_check.result()]

    def _compare(self, expected: dict[int, Trend], stored: Any, waiting: Ints) -> None:
        minutes: Ints = stored["minute"].to_numpy()
        self._keys.count(len(minutes))
        held, times = np.unique(minutes, return_counts=True)
        self._keys.fail(int((times - 1).sum()), (f"twice: {self._minutes.text(m)}" for m in held[times > 1].tolist()))
        columns = [
            scaled_ints(stored[name]) if pa.types.is_decimal(kind) else stored[name].to_pylist()
            for name, kind in TREND_COLUMNS.items()
        ]
        skipped = contains(waiting, minutes)
        self._trends_check.note("trends in flight", int(skipped.sum()))
        self._trends_check.count(len(minutes) - int(skipped.sum()))
        for minute, skip, *values in zip(minutes.tolist(), skipped.tolist(), *columns, strict=True):
            trend = expected.pop(minute, None)
            if trend != tuple(values) and not skip:
                self._trends_check.fail(1, [f"{self._minutes.text(minute)}: {_difference(trend, values)}"])
        rest = np.asarray(sorted(expected), dtype=np.int64)
        missing = rest[~contains(waiting, rest)].tolist()
        self._trends_check.fail(len(missing), (f"{self._minutes.text(minute)}: no trend" for minute in missing))

    def _spill(self, spill: Spill, batch: Any) -> None:
        number = self._minutes.of(batch, "minute")
        arrays = [pa.array(number), *(batch.column(name) for name in spill.schema.names[1:])]
        spill.write(pa.RecordBatch.from_arrays(arrays, schema=spill.schema), symbol_of(number))


def six_minute_trends(minutes: list[int], averages: list[int]) -> Iterator[tuple[int, Trend]]:
    """Make the trend of each minute.

    Args:
        minutes: numbers of minutes, ascending, each once.
        averages: average price of each, in 1e-16.
    """
    first = 0
    for last, minute in enumerate(minutes):
        while minutes[first] < minute - MINUTES_BEFORE:
            first += 1
        present = last - first + 1
        start, this = averages[first], averages[last]
        mean = half_up(sum(averages[first : last + 1]), present)
        change = half_up(100 * (this - start) * 10**_CHANGE.scale, start) if start else 0
        sign = "flat" if change == 0 else "up" if change > 0 else "down"
        yield minute, Trend(fits(mean, _AVERAGE.precision), present, fits(change, _CHANGE.precision), sign)


def _difference(trend: Trend | None, values: list[Any]) -> str:
    if trend is None:
        return "no bar with an average price in that minute"
    wrong = [(name, *pair) for name, *pair in zip(TREND_COLUMNS, values, trend, strict=True) if pair[0] != pair[1]]
    return ", ".join(f"{name} is {_text(name, held)}, computed {_text(name, made)}" for name, held, made in wrong)


def _text(name: str, value: Any) -> str:
    kind = TREND_COLUMNS[name]
    return as_text(value, kind.scale) if pa.types.is_decimal(kind) else str(value)
