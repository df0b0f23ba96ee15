"""Markers of our own in the channel `gap`: a connection was lost, from when to when."""

from __future__ import annotations

from typing import Any

from cryptolake.audit import fields, symbols
from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Frame, Judged
from cryptolake.audit.venues.reading import object_in

BYBIT = ("bybit-spot", "bybit-linear")


def disconnect(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    """Read one marker."""
    marker = object_in(value)
    start, end = fields.whole(marker.get("from_time_us")), fields.whole(marker.get("to_time_us"))
    if marker.get("kind") != "disconnect" or start > end:
        raise BadField("not_a_disconnect")
    if end > (frame.received_us or 0) + fields.LATEST_AHEAD_US:
        raise BadField("time_out_of_range")
    name = "*" if "symbol" not in marker else _canonical(frame, fields.text(marker["symbol"]))
    into.gaps.append((index, row, name, start, end, fields.text(marker.get("reason"))))


def _canonical(frame: Frame, venue_symbol: str) -> str:
    pair = symbols.of_bybit(str(frame.venue), venue_symbol) if str(frame.venue) in BYBIT else None
    if pair is None:  # the markers of no other venue name symbols
        raise BadField("unknown_symbol")
    return "-".join(pair)
