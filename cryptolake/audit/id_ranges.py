"""Arithmetic on ranges of ids: first and last, both included."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]


def less(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """What of some ranges lies in none of the others."""
    rest = list(ranges)
    for low, high in taken:
        rest = [
            part
            for first, last in rest
            for part in ((first, min(last, low - 1)), (max(first, high + 1), last))
            if part[0] <= part[1]
        ]
    return rest


def common(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """What of some ranges lies in one of the others."""
    held = list(others)
    both = [(max(a, c), min(b, d)) for a, b in ranges for c, d in held]
    return [part for part in both if part[0] <= part[1]]


def as_text(ranges: Iterable[Range]) -> str:
    """Write them for a reader."""
    return ", ".join(f"{first} to {last}" for first, last in ranges)
