"""A minute of one symbol of one venue as one number: exact, sortable, eight bytes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.kinds import MINUTE_US
from cryptolake.audit.spill import Ints

_MINUTE_BITS = 40
_SPREAD = 7919  # parts get minutes of all symbols, and a symbol's minutes all parts


class Minutes:
    """Numbers for (venue, symbol, minute); the next minute of the same symbol is the next number."""

    def __init__(self) -> None:
        self._symbols: dict[str, int] = {}

    def of(self, batch: Any, time: str) -> Ints:
        """Give the numbers of rows.

        Args:
            batch: with venue, symbol and a time.
            time: name of the column whose minute counts.
        """
        index = np.maximum(_int64(batch.column(time)) // MINUTE_US, 0)  # silver may be wrong, and is caught elsewhere
        return (self.symbols(batch) << _MINUTE_BITS) | index

    def symbols(self, batch: Any) -> Ints:
        """Give a number for the venue and symbol of each row."""
        names = pc.binary_join_element_wise(batch.column("venue"), batch.column("symbol"), " ")
        if isinstance(names, pa.ChunkedArray):
            names = names.combine_chunks()
        coded = pc.fill_null(names, "null").dictionary_encode()
        numbers = [self._symbols.setdefault(name, len(self._symbols)) for name in coded.dictionary.to_pylist()]
        result: Ints = np.asarray(numbers, dtype=np.int64)[coded.indices.to_numpy()]
        return result

    def text(self, number: int) -> str:
        """Write a number for a reader."""
        name = list(self._symbols)[number >> _MINUTE_BITS]
        start = dt.datetime.fromtimestamp((number & ((1 << _MINUTE_BITS) - 1)) * 60, dt.UTC)
        return f"{name} {start:%Y-%m-%d %H:%M}"


def spread(numbers: Ints) -> Ints:
    """Numbers that divide minutes evenly into parts."""
    result: Ints = (numbers >> _MINUTE_BITS) * _SPREAD + (numbers & ((1 << _MINUTE_BITS) - 1))
    return result


def five_minutes_of(numbers: Ints) -> Ints:
    """The number of the first of the five minutes that each minute belongs to."""
    result: Ints = numbers - (numbers & ((1 << _MINUTE_BITS) - 1)) % 5
    return result


def start_us_of(numbers: Ints) -> Ints:
    """When each minute begins (UTC, us)."""
    result: Ints = (numbers & ((1 << _MINUTE_BITS) - 1)) * MINUTE_US
    return result


def symbol_of(numbers: Ints) -> Ints:
    """The number of venue and symbol of each minute."""
    result: Ints = numbers >> _MINUTE_BITS
    return result


def _int64(times: Any) -> Ints:
    result: Ints = np.asarray(pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    return result
