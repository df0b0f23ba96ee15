"""Exact arithmetic on scaled integers: 1.25 of a type with two decimals is 125."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def half_up(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest whole number, a tie away from zero (`decimal.ROUND_HALF_UP`).

    Args:
        numerator: any whole number.
        denominator: above zero.
    """
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def fits(value: int | None, digits: int) -> int | None:
    """Give the value, or None when it has more digits than its decimal type holds."""
    return value if value is not None and abs(value) < 10**digits else None


def as_text(value: int | None, scale: int) -> str:
    """Write a scaled integer as a decimal number."""
    if value is None:
        return "null"
    sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits


def scaled_ints(column: Any) -> list[int | None]:
    """Read a decimal128 column as scaled Python integers, without making a Decimal of each.

    Args:
        column: pyarrow Array or ChunkedArray of decimal128.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # more than one chunk is left only by an empty column
        return []
    words = np.frombuffer(column.buffers()[1] or b"", dtype="<i8").reshape(-1, 2)
    words = words[column.offset : column.offset + len(column)]
    low, high = words[:, 0], words[:, 1]
    values: list[int | None]
    if bool(np.all(high == (low >> 63))):
        values = low.tolist()
    else:
        pairs = zip(high.tolist(), low.view(np.uint64).tolist(), strict=True)
        values = [(top << 64) | bottom for top, bottom in pairs]
    if column.null_count:
        missing = column.is_null().to_pylist()
        values = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    return values
