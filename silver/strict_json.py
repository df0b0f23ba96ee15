"""JSON read so strictly that nothing is lost, rounded or silently chosen.

Python's own reader takes NaN, the last of two equal keys, lone surrogates and any depth; Spark's ignores trailing text
and passes numbers through double. Here numbers stay the text they were, and every such oddity is told.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 32
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_WHITESPACE = " \t\r\n"
_ESCAPE_LENGTH = len("\\u0041")
# Possessive, and an unterminated string swallows the rest: linear on hostile text.
_BRACKET_OR_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Number(str):
    """A JSON number as its text."""

    __slots__ = ()


class NotFinite(str):
    """NaN, Infinity or -Infinity, which JSON does not have."""

    __slots__ = ()


class Repeated(dict[str, Any]):
    """An object in which a key occurs more than once; it holds the first of each."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(reversed(pairs))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=NotFinite, strict=True
)


@dataclass(frozen=True)
class Document:
    """What a payload says.

    Args:
        value: the first JSON value; None when it could not be read (then there is a reason).
        reasons: what is wrong with the payload as a whole.
    """

    value: Any
    reasons: tuple[str, ...] = ()


def read_document(payload: bytes) -> Document:
    """Read one JSON document from bytes.

    Returns:
        the value with the reasons bom, bad_utf8, too_deep, not_object (nothing there), truncated, control_char,
        invalid_json and trailing_data, as far as they hold; `faults` tells those inside the value.
    """
    reasons: list[str] = []
    if payload.startswith(_BOMS):
        reasons.append("bom")
        payload = payload.removeprefix(_BOMS[0])
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return Document(None, tuple(reasons) or ("bad_utf8",))
    if _depth(payload) > MAX_DEPTH:
        return Document(None, (*reasons, "too_deep"))
    text = text.strip(_WHITESPACE)
    if not text:
        return Document(None, (*reasons, "not_object"))
    try:
        value, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return Document(None, (*reasons, _reading_error(error)))
    if end != len(text):
        reasons.append("trailing_data")
    return Document(value, tuple(reasons))


def faults(value: Any) -> list[str]:
    """List what no field of a value may have: duplicate_key, not_finite, control_char, bad_utf8 (lone surrogates)."""
    found: list[str] = []
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            if isinstance(part, NotFinite):
                found.append("not_finite")
            elif not part.isprintable():
                if _CONTROL.search(part):
                    found.append("control_char")
                if _SURROGATE.search(part):
                    found.append("bad_utf8")
        elif isinstance(part, dict):
            if isinstance(part, Repeated):
                found.append("duplicate_key")
            pending.extend(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return found


def to_text(value: Any) -> str:
    """Write a value back as JSON, its numbers digit for digit."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{to_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    return json.dumps(value)


def _depth(payload: bytes) -> int:
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _BRACKET_OR_STRING.finditer(payload):
        first = match.group()[0]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _reading_error(error: json.JSONDecodeError) -> str:
    if error.msg.startswith("Invalid control character"):
        return "control_char"
    if error.pos >= len(error.doc) or error.msg.startswith("Unterminated string"):
        return "truncated"
    # The reader stops at the first letter of a cut `true`, and before a cut escape.
    rest = error.doc[error.pos :]
    cut_word = any(word.startswith(rest) for word in ("true", "false", "null", "-"))
    cut_escape = error.msg.startswith("Invalid \\") and len(rest) < _ESCAPE_LENGTH
    return "truncated" if cut_word or cut_escape else "invalid_json"
