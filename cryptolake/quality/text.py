"""Text that came as data, made fit to be shown."""

from __future__ import annotations

import unicodedata

_LONGEST = 120


def plain(text: str) -> str:
    """The text with control and invisible characters spelt out, which move a terminal or turn a line, and cut short."""
    short = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return "".join(_spelt(each) if unicodedata.category(each).startswith("C") else each for each in short)


def _spelt(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
