"""Reads the fields of one JSON object by contract, and notes every reason why it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from silver import quality
from silver.quality import DecimalRule
from silver.strict_json import NotFinite, Number, faults, to_text

_MISSING = object()
_DIGITS = re.compile(r"0|-?[1-9][0-9]*")


class Fields:
    """One object's fields.

    Args:
        value: the object; its faults (duplicate keys, control characters, ...) are noted at once.
        received_us: when it was received, for the range of times.
    """

    def __init__(self, value: dict[str, Any], received_us: int | None) -> None:
        self._value = value
        self._received_us = received_us
        self._read: set[str] = set()
        self.reasons: list[str] = faults(value)

    def get(self, field: str) -> Any:
        """The value of a required field; None, with its reason noted, when it is missing or null."""
        self._read.add(field)
        value = self._value.get(field, _MISSING)
        if value is _MISSING:
            self.reasons.append(f"missing_field:{field}")
            return None
        if value is None:
            self.reasons.append(f"null_field:{field}")
        return value

    def text(self, field: str) -> str | None:
        """A string."""
        value = self.get(field)
        if value is None or type(value) is str:
            return value
        self.reasons.append("not_finite" if isinstance(value, NotFinite) else f"wrong_type:{field}")
        return None

    def one_of(self, field: str, allowed: Iterable[str]) -> str | None:
        """A string out of a few."""
        value = self.text(field)
        if value is None or value in allowed:
            return value
        self.reasons.append(f"unknown_value:{field}")
        return None

    def boolean(self, field: str) -> bool | None:
        """True or false."""
        value = self.get(field)
        if value is None or isinstance(value, bool):
            return value
        self.reasons.append(f"wrong_type:{field}")
        return None

    def integer(self, field: str) -> int | None:
        """An integer of 64 bits, not negative."""
        value = self.get(field)
        return None if value is None else quality.checked_integer(field, value, self.reasons)

    def quoted_decimal(self, field: str, rule: DecimalRule) -> Decimal | None:
        """A decimal written as a string."""
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, Number):
            self.reasons.append(f"wrong_type:{field}")
            return None
        return quality.checked_decimal(field, value, rule, self.reasons)

    def decimal(self, field: str, rule: DecimalRule) -> Decimal | None:
        """A decimal written as a JSON number."""
        value = self.get(field)
        if value is None:
            return None
        if type(value) is str:
            self.reasons.append(f"wrong_type:{field}")
            return None
        return quality.checked_decimal(field, value, rule, self.reasons)

    def time_us(self, field: str, *, micros_allowed: bool) -> int | None:
        """A time, in us UTC."""
        value = self.get(field)
        if value is None:
            return None
        return quality.checked_time_us(field, value, self._received_us, self.reasons, micros_allowed=micros_allowed)

    def decimal_if_stated(self, field: str, rule: DecimalRule) -> Decimal | None:
        """A decimal written as a JSON number; None, without a reason, when it is missing or null."""
        if self._value.get(field) is None:
            self._read.add(field)
            return None
        return self.decimal(field, rule)

    def id_if_any(self, field: str) -> int | None:
        """An id; None, without a reason, when it is -1, which says that there is none."""
        if self._value.get(field) == Number("-1") and isinstance(self._value[field], Number):
            self._read.add(field)
            return None
        return self.integer(field)

    def seconds_us(self, field: str) -> int | None:
        """A time written as whole seconds, in us UTC."""
        value = self.get(field)
        if value is None:
            return None
        return quality.checked_seconds_us(field, value, self._received_us, self.reasons)

    def iso_time_us(self, field: str) -> int | None:
        """A time written as ISO-8601 text, in us UTC."""
        value = self.get(field)
        if value is None:
            return None
        return quality.checked_iso_time_us(field, value, self._received_us, self.reasons)

    def leave_out(self, fields: Iterable[str]) -> None:
        """Leave known fields that no column takes, of whatever type, out of the rescued ones."""
        self._read.update(fields)

    def optional(self, field: str, kind: type) -> None:
        """Leave a known field that no column takes out of the rescued ones, if it has its kind."""
        if type(self._value.get(field)) is kind:
            self._read.add(field)

    def quoted_integer(self, field: str) -> int | None:
        """An integer of 64 bits, not negative, written as a string."""
        value = self._quoted(field)
        return None if value is None else quality.checked_integer(field, value, self.reasons)

    def quoted_time_us(self, field: str) -> int | None:
        """A time in ms written as a string, in us UTC."""
        value = self._quoted(field)
        if value is None:
            return None
        return quality.checked_time_us(field, value, self._received_us, self.reasons, micros_allowed=False)

    def _quoted(self, field: str) -> Number | None:
        text = self.text(field)
        if text is not None and not _DIGITS.fullmatch(text):
            self.reasons.append(f"wrong_type:{field}")
            return None
        return None if text is None else Number(text)

    def rescued(self) -> str | None:
        """The fields that were not read, as JSON; None when there are none."""
        rest = {key: value for key, value in self._value.items() if key not in self._read}
        return to_text(rest) if rest else None
