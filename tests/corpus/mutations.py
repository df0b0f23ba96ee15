"""Good frames of every source, damaged: bytes flipped, values swapped or of another type, fields gone or twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from corpus.cases import SOURCES, Source, good_frame
from hypothesis import strategies as st

from silver.rows import Frame

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[\[\]{}:,]')
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"(:)?|-?[0-9][0-9.eE+-]*|true|false|null')
_PAIR = re.compile(r'"(?:[^"\\]|\\.)*":(?:"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null),?')
VALUES = (
    *(
        '""',
        '"1"',
        '"1.5"',
        "1",
        "1.5",
        "-1",
        '"-1"',
        "0",
        '"0"',
        "-0",
        '"-0"',
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[1]",
    ),
    *('{"a":1}', '{"a":1,"a":2}', "NaN", "Infinity", "-Infinity", '"NaN"', '"Infinity"', "1e400", "1e-400", "1E+3"),
    *("0.000000001", "0.0000000000001", "1e12", "1e16", '"1e5"', '"cafe400"', "9223372036854775807", "1" * 30),
    *("9223372036854775808", "1723161254", "1723161254123", "1723161254123456", "1723161254123456789", "1740209280000"),
    *('"<script>"', '"BTCUSDT"', '"USDT"', '"buy"', '"sell"', '"Buy"', '"bitcoin"', '"trade"', '"2024-08-08"'),
    *('"\\ud800"', '"\\u0000"', '"\u2028"', '"\x7f"', "[" * 40 + "]" * 40, "{", "]", '"', "\\"),
)
_BYTES = (*(bytes([letter]) for letter in b'\x00\xff"{}[],:09-.e '), b"", b"\xc3\xa9")
_WRAPPERS = (("[", "]"), ("[[", "]]"), (" ", "\n"), ("\ufeff", ""), ("", "{}"), ("", "x"), ('{"data":', "}"))


def single_damages(source: Source) -> Iterator[Frame]:
    """Every form of a good frame with one damage: each value replaced by each of VALUES, each field gone, each field
    put into each object once more, and the text cut at each letter."""
    for body in range(len(source.bodies)):
        frame = good_frame(source, 7, body)
        text = frame.payload.decode()
        found = [text[:at] for at in range(len(text))]
        for value in _values(text):
            found += [text[: value.start()] + other + text[value.end() :] for other in VALUES]
        pairs = list(_PAIR.finditer(text))
        found += [text[: pair.start()] + text[pair.end() :] for pair in pairs]
        for brace in re.finditer(r"\{", text):
            found += [f"{text[: brace.end()]}{pair[0].rstrip(',')},{text[brace.end() :]}" for pair in pairs]
        yield from (replace(frame, payload=damaged.encode()) for damaged in found)


def frames(sources: tuple[Source, ...] = tuple(SOURCES.values())) -> st.SearchStrategy[Frame]:
    """Frames of some sources: most of them damaged, some not."""
    return st.sampled_from(sources).flatmap(damaged)


@st.composite
def damaged(draw: st.DrawFn, source: Source) -> Frame:
    """A good frame of a source with up to three damages."""
    frame = good_frame(source, draw(st.integers(1, 10**6 - 1)), draw(st.integers(0, len(source.bodies) - 1)))
    text = frame.payload.decode()
    for _ in range(draw(st.integers(0, 3))):
        text = draw(st.sampled_from(_DAMAGES))(draw, text)
    payload = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        at = draw(st.integers(0, len(payload)))
        payload[at : at + draw(st.integers(0, 4))] = draw(st.sampled_from(_BYTES))
    headers = draw(st.sampled_from(_HEADERS))
    return replace(frame, payload=bytes(payload), **headers)


def _other_value(draw: st.DrawFn, text: str) -> str:
    return _replaced(draw, _values(text), text, draw(st.sampled_from(VALUES)))


def _field_gone(draw: st.DrawFn, text: str) -> str:
    return _replaced(draw, list(_PAIR.finditer(text)), text, "")


def _other_field(draw: st.DrawFn, text: str) -> str:
    """One pair of key and value in place of another: so keys come twice, or are gone."""
    pairs = list(_PAIR.finditer(text))
    return _replaced(draw, pairs, text, draw(st.sampled_from(pairs))[0]) if pairs else text


def _swapped(draw: st.DrawFn, text: str) -> str:
    found = _values(text)
    if len(found) < 2:
        return text
    first = draw(st.integers(0, len(found) - 2))
    second = draw(st.integers(first + 1, len(found) - 1))
    one, two = found[first], found[second]
    return text[: one.start()] + two[0] + text[one.end() : two.start()] + one[0] + text[two.end() :]


def _new_field(draw: st.DrawFn, text: str) -> str:
    braces = [match.end() for match in re.finditer(r"\{", text)]
    if not braces:
        return text
    at = draw(st.sampled_from(braces))
    key = draw(st.sampled_from(('"x"', '"P"', '"data"', '""', *_keys(text))))
    return f"{text[:at]}{key}:{draw(st.sampled_from(VALUES))},{text[at:]}"


def _cut(draw: st.DrawFn, text: str) -> str:
    return text[: draw(st.integers(0, len(text)))]


def _wrapped(draw: st.DrawFn, text: str) -> str:
    before, behind = draw(st.sampled_from(_WRAPPERS))
    return before + text + behind


def _token_gone(draw: st.DrawFn, text: str) -> str:
    return _replaced(draw, list(_TOKEN.finditer(text)), text, "")


_DAMAGES = (
    *(_other_value, _other_value, _other_value, _field_gone, _other_field, _swapped, _swapped, _new_field),
    *(_cut, _wrapped, _token_gone),
)
_HEADERS = (
    *({},) * 20,
    *({"session_id": None}, {"received_us": None}, {"key": None}, {"key": "BTCXYZ"}, {"channel": "depth"}),
    *({"venue": "kraken"}, {"channel": "oversize"}),
)


def _values(text: str) -> list[re.Match[str]]:
    return [found for found in _SCALAR.finditer(text) if found[1] is None]


def _keys(text: str) -> list[str]:
    return [found[0].removesuffix(":") for found in _SCALAR.finditer(text) if found[1]]


def _replaced(draw: st.DrawFn, found: list[re.Match[str]], text: str, new: str) -> str:
    if not found:
        return text
    place = draw(st.sampled_from(found))
    return text[: place.start()] + new + text[place.end() :]
