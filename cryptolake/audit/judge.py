"""The audit's own reading of frames: what each row of bronze must have become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptolake.audit import fields, symbols
from cryptolake.audit.fields import BadField
from cryptolake.audit.strict_json import Malformed, StrictJson, flaw

COINCAP = "coincap-"
_LARGEST_FRAME_BYTES = 512 * 1024
_MINUTE_US = 60_000_000
_CANDLE_FIELDS = 12
_DUMP_COLUMNS, _DUMP_COLUMNS_NEEDED = 7, 6
DUMP = "trade_dump"


class Frame(NamedTuple):
    """A row of bronze.frames; a header that was missing or garbled is None."""

    venue: str | None
    channel: str | None
    key: str | None
    session_id: str | None
    sequence: int | None
    received_us: int | None
    origin: str | None
    payload: bytes


class Bad(NamedTuple):
    """A row that belongs into quarantine; `frame` is the frame's place in the run."""

    frame: int
    row: int
    why: str


@dataclass
class Judged:
    """What a run of frames must have become; `index` is the frame's place in the run, numbers are decimal text.

    Args:
        trades: (index, row, venue_symbol, trade_key, trade_id, side, price, quantity, event time us).
        candles: (index, row, venue_symbol, minute us, open, high, low, close, volume, buy_volume, amount, trade_count).
        gaps: (index, row, from us, to us, reason).
        lost: (venue symbol, first id, last id) that the venue no longer has.
        bad: rows for quarantine.
        arrays: frames of many rows; of all others the frame and its row 0 are the same.
        control: how many frames go no further.
    """

    trades: list[tuple[Any, ...]] = field(default_factory=list)
    candles: list[tuple[Any, ...]] = field(default_factory=list)
    gaps: list[tuple[Any, ...]] = field(default_factory=list)
    lost: list[tuple[str, int, int]] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    arrays: list[int] = field(default_factory=list)
    control: int = 0


class Judge:
    """Reads frames one by one into a `Judged`."""

    def __init__(self) -> None:
        self._json = StrictJson()

    def judge(self, index: int, frame: Frame, into: Judged) -> None:
        """Read one frame."""
        if frame.channel == "control":
            into.control += 1
            return
        try:
            read = _reader(frame)
            if frame.channel == DUMP:
                into.arrays.append(index)
                _dump(index, frame, into)
                return
            document, odd = self._json.read(frame.payload)
        except (BadField, Malformed) as error:
            into.bad.append(Bad(index, -1, str(error)))
            return
        if isinstance(document, list) and read.each is not None:
            into.arrays.append(index)
            rows, one = enumerate(document), read.each
        else:
            rows, one = enumerate([document]), read.single
        for row, value in rows:
            try:
                if odd and (why := flaw(value)):
                    raise BadField(why)
                one(index, row, frame, value, into)
            except BadField as error:
                into.bad.append(Bad(index, row, str(error)))


_Read = Callable[[int, int, Frame, Any, Judged], None]


class _Reader(NamedTuple):
    single: _Read
    each: _Read | None


def _reader(frame: Frame) -> _Reader:
    if None in (frame.venue, frame.channel, frame.session_id, frame.sequence, frame.received_us, frame.origin):
        raise BadField("missing_header")
    if frame.channel == "oversize" or len(frame.payload) > _LARGEST_FRAME_BYTES:
        raise BadField("oversize")
    venue = str(frame.venue)
    coincap = venue.startswith(COINCAP) and venue != COINCAP
    if venue != "binance" and not coincap:
        raise BadField("unknown_venue")
    reader = _COINCAP.get(str(frame.channel)) if coincap else _BINANCE.get(str(frame.channel))
    if reader is None:
        raise BadField("unknown_channel")
    return reader


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadField("not_an_object")
    return value


def _array_wanted(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    raise BadField("not_an_array")


def _binance_stream(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    trade = _object(value)
    if "data" in trade:
        fields.text(trade.get("stream"))
        trade = _object(trade["data"])
    if trade.get("e", "trade") != "trade":
        raise BadField("not_a_trade")
    name = fields.text(trade.get("s"))
    _binance_trade(index, row, frame, name, [trade.get(key) for key in ("t", "p", "q", "T", "m")], into)


def _binance_rest(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    trade = _object(value)
    found = [trade.get(key) for key in ("id", "price", "qty", "time", "isBuyerMaker")]
    _binance_trade(index, row, frame, frame.key or "", found, into)


def _binance_trade(index: int, row: int, frame: Frame, name: str, found: list[Any], into: Judged) -> None:
    if symbols.of_binance(name) is None:
        raise BadField("unknown_symbol")
    number = fields.whole(found[0])
    price, quantity = fields.price_and_quantity(fields.text_number(found[1]), fields.text_number(found[2]))
    moment = fields.event_time_us(found[3], frame.received_us or 0, micros=True)
    side = "sell" if fields.flag(found[4]) else "buy"
    into.trades.append((index, row, name, str(number), number, side, price, quantity, moment))


def _dump(index: int, frame: Frame, into: Judged) -> None:
    """Read lines of a daily dump; the first of a file may name its columns."""
    lines = frame.payload.split(b"\n")
    for row, line in enumerate(lines if lines[-1] else lines[:-1]):
        if row == 0 and frame.sequence == 0 and line.startswith(b"id,"):
            continue
        try:
            _dump_line(index, row, frame, line, into)
        except (BadField, UnicodeDecodeError) as error:
            into.bad.append(Bad(index, row, str(error)))


def _dump_line(index: int, row: int, frame: Frame, line: bytes, into: Judged) -> None:
    values: list[str] = (line[:-1] if line.endswith(b"\r") else line).decode("ascii").split(",")
    if not _DUMP_COLUMNS_NEEDED <= len(values) <= _DUMP_COLUMNS:
        raise BadField("not_a_dump_line")
    if why := flaw(values):
        raise BadField(why)
    number, moment = fields.digits(values[0]), fields.digits(values[4])
    maker = {"true": True, "false": False}.get(values[5].lower())
    _binance_trade(index, row, frame, frame.key or "", [number, values[1], values[2], moment, maker], into)


def _binance_candle(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    if not isinstance(value, list) or len(value) != _CANDLE_FIELDS:
        raise BadField("not_a_candle")
    name = frame.key or ""
    if symbols.of_binance(name) is None:
        raise BadField("unknown_symbol")
    received_us = frame.received_us or 0
    minute, close = fields.event_time_us(value[0], received_us, micros=True), fields.whole(value[6])
    end = minute + _MINUTE_US
    if minute % _MINUTE_US or close not in (end // 1000 - 1, end - 1):
        raise BadField("not_one_minute")
    if end > received_us:
        raise BadField("open_candle")
    prices = [fields.price_text(fields.text_number(value[i])) for i in (1, 2, 3, 4)]
    volumes = [fields.held(fields.text_number(value[i]), 34, 8) for i in (5, 9)]
    amount, _ = (fields.held(fields.text_number(value[i]), 38, 20) for i in (7, 10))
    into.candles.append((index, row, name, minute, *prices, *volumes, amount, fields.whole(value[8])))


def _coincap_trade(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    trade = _object(value)
    if trade.get("exchange") != str(frame.venue).removeprefix(COINCAP):
        raise BadField("other_exchange")
    base, quote, side = (fields.text(trade.get(key)) for key in ("base", "quote", "direction"))
    if symbols.of_coincap(base, quote) is None:
        raise BadField("unknown_symbol")
    if side not in ("buy", "sell"):
        raise BadField("unknown_side")
    numbers = fields.json_number(trade.get("price")), fields.json_number(trade.get("volume"))
    price, quantity = fields.price_and_quantity(*numbers)
    moment = fields.event_time_us(trade.get("timestamp"), frame.received_us or 0, micros=False)
    key = f"{frame.session_id}:{frame.sequence}:{row}"
    into.trades.append((index, row, f"{base}-{quote}", key, None, side, price, quantity, moment))


def _disconnect(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    marker = _object(value)
    start, end = fields.whole(marker.get("from_time_us")), fields.whole(marker.get("to_time_us"))
    if marker.get("kind") != "disconnect" or start > end:
        raise BadField("not_a_disconnect")
    if end > (frame.received_us or 0) + fields.LATEST_AHEAD_US:
        raise BadField("time_out_of_range")
    into.gaps.append((index, row, start, end, fields.text(marker.get("reason"))))


def _binance_marker(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    marker = _object(value)
    if marker.get("kind") != "unrecoverable":
        _disconnect(index, row, frame, value, into)
        return
    name, first, last = fields.text(marker.get("symbol")), *(fields.whole(marker.get(k)) for k in ("from_id", "to_id"))
    if symbols.of_binance(name) is None:
        raise BadField("unknown_symbol")
    if first > last:
        raise BadField("not_a_range")
    into.lost.append((name, first, last))


_BINANCE = {
    "trade": _Reader(_binance_stream, _binance_rest),
    "kline": _Reader(_array_wanted, _binance_candle),
    "gap": _Reader(_binance_marker, None),
    DUMP: _Reader(_array_wanted, None),
}
_COINCAP = {"trade": _Reader(_coincap_trade, None), "gap": _Reader(_disconnect, None)}
