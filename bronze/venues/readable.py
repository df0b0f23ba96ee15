"""What silver could read of a frame: only such a trade counts as held."""

from __future__ import annotations

import json
import re
from typing import Any

# Above zero, and what silver's DECIMAL(24,12) and DECIMAL(24,8) hold.
PRICE = r"(?=[0-9.]*[1-9])[0-9]{1,12}(?:\.[0-9]{1,12})?"
QUANTITY = r"(?=[0-9.]*[1-9])[0-9]{1,16}(?:\.[0-9]{1,8})?"
_PRICE, _QUANTITY = re.compile(PRICE), re.compile(QUANTITY)


def read_object(frame: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None for anything else, or for one that silver would refuse as a whole."""
    try:
        value = json.loads(frame, object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_price(value: object) -> bool:
    """Whether it is a price as text."""
    return isinstance(value, str) and _PRICE.fullmatch(value) is not None


def is_quantity(value: object) -> bool:
    """Whether it is a quantity as text."""
    return isinstance(value, str) and _QUANTITY.fullmatch(value) is not None


def is_whole(value: object) -> bool:
    """Whether it is an integer of 64 bits, not negative."""
    return type(value) is int and 0 <= value < 2**63


def is_name(value: object) -> bool:
    """Whether it can be the name of a symbol."""
    return isinstance(value, str) and 0 < len(value) <= 40


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
