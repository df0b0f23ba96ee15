"""The rules for single fields, written from the design and the venues' contracts, not from silver's code."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Context, Decimal
from typing import Any

_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_DIGITS = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z", re.ASCII)
_SECOND_US = 1_000_000
_WIDE = Context(prec=100)
_LARGEST_AMOUNT = Decimal(10) ** 12
_EARLIEST_US = 1_230_768_000_000_000  # 2009-01-01
LATEST_AHEAD_US = 3_600_000_000
_MS_BEFORE, _US_BEFORE = 10**14, 10**17  # below the first a time is in milliseconds, below the second in microseconds
_MAX_LONG = 2**63 - 1


class BadField(ValueError):
    """A field breaks a rule; the message is the rule's code."""


def text_number(value: Any) -> Decimal:
    """Read a number that the venue writes as text: digits, a point, digits."""
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        raise BadField("not_a_number")
    return Decimal(value)


def json_number(value: Any) -> Decimal:
    """Read a number that the venue writes as a JSON number."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadField("not_a_number")
    return Decimal(value)


def held(value: Decimal, digits: int, decimals: int, *, signed: bool = False) -> str:
    """Write a number as its column holds it; what would have to be rounded is refused.

    Args:
        value: what the venue said; zeros that it wrote behind the point count as decimals.
        digits: of the column's type.
        decimals: of which behind the point.
        signed: it may be below zero.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > decimals:
        raise BadField("precision_exceeded")
    if value and value.adjusted() >= digits - decimals:
        raise BadField("too_large")
    if value < 0 and not signed:
        raise BadField("negative")
    return format(value, "f") if value else "0"


def price_text(value: Decimal) -> str:
    """Check a price: above zero, DECIMAL(24,12)."""
    if value <= 0:
        raise BadField("non_positive")
    return held(value, 24, 12)


def stated_price(value: Decimal) -> str:
    """Check a price that a service states, maybe as a double in full: above zero, DECIMAL(38,28)."""
    if value <= 0:
        raise BadField("non_positive")
    return held(value, 38, 28)


def price_and_quantity(price: Decimal, quantity: Decimal) -> tuple[str, str]:
    """Check a trade's two numbers, DECIMAL(24,12) and DECIMAL(24,8), for themselves and multiplied."""
    if quantity <= 0:
        raise BadField("non_positive")
    texts = price_text(price), held(quantity, 24, 8)
    if _WIDE.multiply(price, quantity) > _LARGEST_AMOUNT:
        raise BadField("amount_overflow")
    return texts


def whole(value: Any) -> int:
    """Read a JSON integer that fits into 64 bits and is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_LONG:
        raise BadField("not_an_integer")
    return value


def digits(value: str) -> int:
    """Read an integer that is written as text, without a sign or leading zeros."""
    if not _DIGITS.fullmatch(value):
        raise BadField("not_an_integer")
    return int(value)


def text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise BadField("not_a_text")
    return value


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise BadField("not_a_flag")
    return value


def event_time_us(value: Any, received_us: int, *, micros: bool) -> int:
    """Read a venue's time, from 2009 to one hour after it was received.

    Args:
        value: milliseconds, or microseconds where the venue has those too; told apart by size.
        received_us: when the frame was received.
        micros: whether the venue has microseconds.
    """
    number = whole(value)
    if number < _MS_BEFORE:
        number *= 1000
    elif not micros or number >= _US_BEFORE:
        raise BadField("bad_time_unit")
    return _in_range(number, received_us)


def seconds_us(value: Any, received_us: int) -> int:
    """Read a time in whole seconds."""
    return _in_range(whole(value) * _SECOND_US, received_us)


def iso_time_us(value: Any, received_us: int) -> int:
    """Read a time such as 2026-05-18T08:17:31.736Z."""
    found = _ISO.fullmatch(text(value))
    if found is None:
        raise BadField("bad_time_text")
    try:
        year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        raise BadField("bad_time_text") from None
    return _in_range(int(moment.timestamp()) * _SECOND_US + int((found[7] or "0").ljust(6, "0")), received_us)


def _in_range(moment_us: int, received_us: int) -> int:
    if not _EARLIEST_US <= moment_us <= received_us + LATEST_AHEAD_US:
        raise BadField("time_out_of_range")
    return moment_us
