"""The audit's own reading of frames: what each row of bronze must have become."""

from __future__ import annotations

from typing import Any

from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Bad, Frame, Judged
from cryptolake.audit.strict_json import Malformed, StrictJson, flaw, has_repeated_key
from cryptolake.audit.venues import binance, bybit, coincap, coingecko, disconnects
from cryptolake.audit.venues.reading import Read, Reader

_LARGEST_FRAME_BYTES = 512 * 1024
_READERS = {
    "binance": binance.CHANNELS,
    **dict.fromkeys(disconnects.BYBIT, bybit.CHANNELS),
    "coincap": coincap.PRICE_CHANNELS,
    "coingecko": coingecko.CHANNELS,
}


class Judge:
    """Reads frames one by one into a `Judged`."""

    def __init__(self) -> None:
        self._json = StrictJson()

    def judge(self, index: int, frame: Frame, into: Judged) -> None:
        """Read one frame."""
        if frame.channel == "control":
            into.control.append(index)
            return
        try:
            read = _reader(frame)
            if frame.channel == binance.DUMP:
                into.arrays.append(index)
                binance.read_dump(index, frame, into)
                return
            document, odd = self._json.read(frame.payload)
        except (BadField, Malformed) as error:
            into.bad.append(Bad(index, -1, str(error)))
            return
        try:
            values, one = _rows(frame, document, read)
        except BadField as error:
            into.bad.append(Bad(index, -1, str(error)))
            return
        if one is not read.single:
            into.arrays.append(index)
        for row, value in enumerate(values):
            try:
                if odd and (why := flaw(value)):
                    raise BadField(why)
                one(index, row, frame, value, into)
            except BadField as error:
                into.bad.append(Bad(index, row, str(error)))


def _rows(frame: Frame, document: Any, read: Reader) -> tuple[list[Any], Read]:
    if read.inside is not None and read.each is not None:
        return read.inside(frame, document), read.each
    if isinstance(document, list) and read.each is not None:
        return document, read.each
    if isinstance(document, dict) and read.member is not None:
        if has_repeated_key(document):
            raise BadField("duplicate_key")
        return [list(member) for member in document.items()], read.member
    return [document], read.single


def _reader(frame: Frame) -> Reader:
    if None in (frame.venue, frame.channel, frame.session_id, frame.sequence, frame.received_us, frame.origin):
        raise BadField("missing_header")
    if frame.channel == "oversize" or len(frame.payload) > _LARGEST_FRAME_BYTES:
        raise BadField("oversize")
    venue = str(frame.venue)
    exchange = venue.startswith(coincap.EXCHANGE) and venue != coincap.EXCHANGE
    readers = coincap.EXCHANGE_CHANNELS if exchange else _READERS.get(venue)
    if readers is None:
        raise BadField("unknown_venue")
    reader = readers.get(str(frame.channel))
    if reader is None:
        raise BadField("unknown_channel")
    return reader
