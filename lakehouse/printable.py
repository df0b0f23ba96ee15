"""Text that came as data, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape everything that a terminal would obey or hide: control and format characters, half surrogates."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
