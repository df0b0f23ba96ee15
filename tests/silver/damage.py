"""Frames beside a good form: almost right, as only a strict reader tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from silver.rows import Frame


@st.composite
def beside(draw: st.DrawFn, good: st.SearchStrategy[Frame], pieces: Sequence[bytes], most_replaced: int) -> Frame:
    """A good frame with a few of its bytes replaced, taken out, or doubled."""
    frame = draw(good)
    payload = bytearray(frame.payload)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(payload) - 1))
        payload[place : place + draw(st.integers(0, most_replaced))] = draw(st.sampled_from(pieces))
    return replace(frame, payload=bytes(payload))
