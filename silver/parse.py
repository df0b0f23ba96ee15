"""The one strict parser: from any frame to rows, or to every reason why not; and which frames can do without it."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from silver import quality
from silver.markers import parse_gap
from silver.rows import WHOLE_FRAME, Frame, ParsedRow, Rejected
from silver.strict_json import Document, read_document
from silver.venues.registry import venue_named
from silver.venues.venue import Parser

CONTROL = "control"
GAP_CHANNEL = "gap"
_OVERSIZE = "oversize"


def parse_frame(frame: Frame) -> list[ParsedRow]:
    """Parse one frame; a pure function of it.

    Returns:
        one row for each row of the frame, good or rejected; none for an empty array; or one Rejected with row -1 for a
        frame that cannot be used as a whole.
    """
    parser, reasons = _parser_for(frame)
    reasons = quality.header_reasons(frame) + reasons
    if frame.channel == _OVERSIZE or len(frame.payload) > quality.MAX_FRAME_BYTES:
        return [_whole([*reasons, "oversize"])]
    document = Document(frame.payload) if _is_text(frame) else read_document(frame.payload)
    reasons.extend(document.reasons)
    if parser is None or (document.value is None and document.reasons):
        return [_whole(reasons)]
    rows = parser(frame, document.value)
    if reasons:
        rejected = [reason for row in rows if isinstance(row, Rejected) for reason in row.reasons]
        return [_whole([*reasons, *rejected])]
    return [Rejected(row.row, _unique(row.reasons)) if isinstance(row, Rejected) else row for row in rows]


def canonical_rows(frame: Frame) -> tuple[str, Mapping[str, pa.Array]] | None:
    """Read a frame of many rows at once, if it is in the venue's canonical form and all of its rows are good.

    Returns:
        the kind of its rows and their fields by column, the very values that `parse_frame` gives one by one; None when
        only the strict parser can tell.
    """
    venue = venue_named(frame.venue) if frame.venue is not None else None
    form = venue.canonical_rows.get(frame.channel) if venue and frame.channel else None
    if form is None or quality.header_reasons(frame) or len(frame.payload) > quality.MAX_FRAME_BYTES:
        return None
    columns = form.read(frame)
    return None if columns is None else (form.kind, columns)


def _parser_for(frame: Frame) -> tuple[Parser | None, list[str]]:
    if frame.venue is None:
        return None, []
    venue = venue_named(frame.venue)
    if venue is None:
        return None, ["unknown_venue"]
    if frame.channel is None or frame.channel == _OVERSIZE:
        return None, []
    parser = parse_gap if frame.channel == GAP_CHANNEL else venue.parsers.get(frame.channel)
    return parser, [] if parser else ["unknown_channel"]


def _is_text(frame: Frame) -> bool:
    venue = venue_named(frame.venue) if frame.venue is not None else None
    return venue is not None and frame.channel in venue.texts


def _whole(reasons: list[str]) -> Rejected:
    return Rejected(WHOLE_FRAME, _unique(tuple(reasons)))


def _unique(reasons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reasons))
