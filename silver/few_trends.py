"""The trends of `silver.trends`, made of whole numbers, without Spark."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import DecimalType

from silver.closing import MINUTE_US, BarKey
from silver.contracts.columns import AVERAGE, CHANGE_PCT
from silver.trends import MINUTES_BEFORE, TREND_VALUES

_UTC = pa.timestamp("us", tz="UTC")
_WHOLE = Context(prec=AVERAGE.precision)


class _Trend(NamedTuple):
    """What the table says of a minute; numbers in units of their last digits."""

    key: BarKey
    average: int
    present: int
    change: int | None
    trend: str


def few_trends(bars: pa.Table) -> pa.Table:
    """Make the rows that `six_minute_trends` makes.

    Args:
        bars: columns of silver.one_minute_bars; each key once.

    Returns:
        columns of silver.six_minute_trends without `revised_at`.
    """
    present = bars.filter(pc.is_valid(bars["average_price"]))
    columns = (present["venue"], present["symbol"], present["minute"].cast(pa.int64()), present["average_price"])
    averages = {BarKey(*key): _in_units(price) for *key, price in zip(*(c.to_pylist() for c in columns), strict=True)}
    rows = [row for _, keys in groupby(sorted(averages), key=lambda key: key[:2]) for row in _of_symbol(keys, averages)]
    venues, symbols, minutes_us = zip(*(row.key for row in rows), strict=True) if rows else ((), (), ())
    values = {
        "venue": pa.array(venues, pa.string()),
        "symbol": pa.array(symbols, pa.string()),
        "minute": pa.array(minutes_us, pa.int64()).cast(_UTC),
        "average_price": _decimals([row.average for row in rows], AVERAGE),
        "minutes_present": pa.array([row.present for row in rows], pa.int32()),
        "change_pct": _decimals([row.change for row in rows], CHANGE_PCT),
        "trend": pa.array([row.trend for row in rows], pa.string()),
    }
    return pa.table({name: values[name] for name in ("venue", "symbol", "minute", *TREND_VALUES)})


def _of_symbol(keys: Iterator[BarKey], averages: Mapping[BarKey, int]) -> Iterator[_Trend]:
    six: deque[BarKey] = deque()
    for key in keys:
        six.append(key)
        while six[0].minute_us < key.minute_us - MINUTES_BEFORE * MINUTE_US:
            six.popleft()
        this, first = averages[key], averages[six[0]]
        average = _half_up(sum(averages[one] for one in six), len(six))
        change = _change(this, first)
        yield _Trend(key, average, len(six), change, "flat" if change == 0 else "up" if this > first else "down")


def _change(this: int, first: int) -> int | None:
    if not first:
        return None
    size = _half_up(abs(this - first) * 100 * 10**CHANGE_PCT.scale, first)
    return None if size >= 10**CHANGE_PCT.precision else -size if this < first else size


def _half_up(dividend: int, divisor: int) -> int:
    """The quotient of numbers that are not negative."""
    return (2 * dividend + divisor) // (2 * divisor)


def _in_units(value: Decimal) -> int:
    return int(value.scaleb(AVERAGE.scale, _WHOLE))


def _decimals(numbers: Sequence[int | None], kind: DecimalType) -> pa.Array:
    exact = Context(prec=kind.precision)
    found = [None if number is None else Decimal(number).scaleb(-kind.scale, exact) for number in numbers]
    return pa.array(found, to_arrow_type(kind))
