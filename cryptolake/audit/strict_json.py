"""JSON read strictly: what one reader takes one way and another otherwise is a flaw here."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal, DecimalException
from typing import Any

MAX_DEPTH = 32


class Malformed(ValueError):
    """The bytes are not one JSON document; the message is the rule's code."""


class Unreadable:
    """A number that is no finite number, or longer than any that a field can hold."""


class _Repeated(dict[str, Any]):
    """An object in which a key occurs twice."""


class StrictJson:
    """Reads documents; numbers with a point or an exponent become Decimal."""

    def __init__(self) -> None:
        self._odd = False
        self._decoder = json.JSONDecoder(
            parse_float=Decimal, parse_constant=self._unreadable, object_pairs_hook=self._object
        )
        # Slower, for the rare document with a number that Python refuses.
        self._patient = json.JSONDecoder(
            parse_float=self._any_decimal,
            parse_int=self._any_int,
            parse_constant=self._unreadable,
            object_pairs_hook=self._object,
        )

    def read(self, payload: bytes) -> tuple[Any, bool]:
        """Read one document.

        Returns:
            its value, and whether some part of it may have a flaw, which `flaw` then names.

        Raises:
            Malformed: not UTF-8, not JSON, text behind the document, or nested deeper than 32.
        """
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("bad_utf8") from None
        if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
            raise Malformed("too_deep")
        # Only an escape or a letter that does not print can put a control character into a text.
        self._odd = "\\" in text or not text.isprintable()
        try:
            try:
                return self._decoder.decode(text), self._odd
            except json.JSONDecodeError:
                raise
            except (DecimalException, ValueError):
                return self._patient.decode(text), True
        except json.JSONDecodeError as error:
            raise Malformed("trailing_data" if error.msg == "Extra data" else "not_json") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self._odd = True
        return _Repeated(found)

    def _unreadable(self, _: str) -> Unreadable:
        self._odd = True
        return Unreadable()

    @staticmethod
    def _any_decimal(text: str) -> Decimal | str:
        try:
            return Decimal(text)
        except DecimalException:
            return text

    @staticmethod
    def _any_int(text: str) -> int | str:
        try:
            return int(text)
        except ValueError:
            return text


def flaw(value: Any) -> str | None:
    """Name what makes a part of a document ambiguous: a key twice, NaN, control characters, half surrogates."""
    if isinstance(value, Unreadable):
        return "not_finite"
    if isinstance(value, str):
        kinds = {unicodedata.category(letter) for letter in value}
        return "control_char" if "Cc" in kinds else "half_surrogate" if "Cs" in kinds else None
    if isinstance(value, _Repeated):
        return "duplicate_key"
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return next((found for part in parts if (found := flaw(part))), None)


def has_repeated_key(value: dict[str, Any]) -> bool:
    """Whether a key of an object occurs twice."""
    return isinstance(value, _Repeated)


def _depth(text: str) -> int:
    depth = deepest = 0
    in_text = escaped = False
    for letter in text:
        if in_text:
            in_text = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            in_text = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest
