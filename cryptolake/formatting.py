"""Figures as people read them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

UP, DOWN, FLAT = "▲", "▼", "•"


def price(value: Decimal | None) -> str:
    """A price with the digits that matter: five significant ones, at least two decimals."""
    if value is None:
        return "-"
    if value == 0:
        return "0.00"
    decimals = min(12, max(2, 4 - value.adjusted()))
    return f"{value:,.{decimals}f}"


def quantity(value: Decimal | float | None) -> str:
    """A volume or an amount, short: 1,234 or 12.3k or 4.56M."""
    if value is None:
        return "-"
    number = float(value)
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            scaled = number / (1e3 if unit == "k" else limit)
            return f"{scaled:,.2f}{unit}"
    return f"{number:,.2f}" if abs(number) >= 1 else f"{number:.4f}"


def percent(value: Decimal | float | None, decimals: int = 3) -> str:
    """A signed percentage."""
    return "-" if value is None else f"{float(value):+.{decimals}f} %"


def count(value: int | float | None) -> str:
    """A whole number with separators."""
    return "-" if value is None else f"{value:,.0f}"


def short(value: int | None) -> str:
    """A count in at most five digits: 12,345 or 123k or 12.3M."""
    if value is None or abs(value) < 100_000:
        return count(value)
    return f"{value / 1e3:,.0f}k" if abs(value) < 10_000_000 else f"{value / 1e6:,.1f}M"


def age(seconds: float | None) -> str:
    """How long ago."""
    if seconds is None:
        return "-"
    if seconds < 0:
        seconds = 0.0
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.0f} d"


def clock(value: dt.datetime | None) -> str:
    """Hours and minutes in UTC."""
    return "-" if value is None else value.astimezone(dt.UTC).strftime("%H:%M")


def arrow(value: Decimal | float | None) -> str:
    """Which way a change goes."""
    if value is None:
        return " "
    return UP if value > 0 else DOWN if value < 0 else FLAT


def colour(value: Decimal | float | None) -> str:
    """The colour of a change, readable on dark and on light ground."""
    if value is None or value == 0:
        return "default"
    return "green" if value > 0 else "red"
