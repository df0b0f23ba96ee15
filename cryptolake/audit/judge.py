"""The audit's own reading of frames: what each row of bronze must have become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptolake.audit import fields, symbols
from cryptolake.audit.bybit import bybit_rows, bybit_trade, not_bybit
from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Bad, Frame, Judged
from cryptolake.audit.strict_json import Malformed, StrictJson, flaw, has_repeated_key

COINCAP = "coincap-"
_LARGEST_FRAME_BYTES = 512 * 1024
_MINUTE_US = 60_000_000
_TICKER_TIMES = ("closeTime", "openTime")
_TICKER_NUMBERS = (
    *("lastPrice", "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastQty"),
    *("bidPrice", "bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume"),
)
_CANDLE_FIELDS = 12
_DUMP_COLUMNS, _DUMP_COLUMNS_NEEDED = 7, 6
DUMP = "trade_dump"
_BYBIT_VENUES = ("bybit-spot", "bybit-linear")
_NAME_CHARS = 40


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


_Read = Callable[[int, int, Frame, Any, Judged], None]


class _Reader(NamedTuple):
    """How a channel's documents are read: as one row, and, where there are such, as rows of a list or of an object."""

    single: _Read
    each: _Read | None = None
    member: _Read | None = None  # takes the name and the value
    inside: Callable[[Frame, Any], list[Any]] | None = None  # finds the rows of `each` where the document is no list


def _rows(frame: Frame, document: Any, read: _Reader) -> tuple[list[Any], _Read]:
    if read.inside is not None and read.each is not None:
        return read.inside(frame, document), read.each
    if isinstance(document, list) and read.each is not None:
        return document, read.each
    if isinstance(document, dict) and read.member is not None:
        if has_repeated_key(document):
            raise BadField("duplicate_key")
        return [list(member) for member in document.items()], read.member
    return [document], read.single


def _reader(frame: Frame) -> _Reader:
    if None in (frame.venue, frame.channel, frame.session_id, frame.sequence, frame.received_us, frame.origin):
        raise BadField("missing_header")
    if frame.channel == "oversize" or len(frame.payload) > _LARGEST_FRAME_BYTES:
        raise BadField("oversize")
    venue = str(frame.venue)
    exchange = venue.startswith(COINCAP) and venue != COINCAP
    readers = _COINCAP_EXCHANGE if exchange else _READERS.get(venue)
    if readers is None:
        raise BadField("unknown_venue")
    reader = readers.get(str(frame.channel))
    if reader is None:
        raise BadField("unknown_channel")
    return reader


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadField("not_an_object")
    return value


def _array_wanted(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    raise BadField("not_an_array")


def _object_wanted(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    raise BadField("not_an_object")


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
    if not into.names.known("binance", name):
        raise BadField("unknown_symbol")
    number = fields.whole(found[0])
    price, quantity = fields.price_and_quantity(fields.text_number(found[1]), fields.text_number(found[2]))
    moment = fields.event_time_us(found[3], frame.received_us or 0, micros=True)
    side = "sell" if fields.flag(found[4]) else "buy"
    into.trades.append((index, row, name, str(number), number, None, side, price, quantity, moment))


def _dump(index: int, frame: Frame, into: Judged) -> None:
    """Read lines of a daily dump; the first of a file may name its columns."""
    lines = frame.payload.split(b"\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    for row, line in enumerate(lines):
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
    if not into.names.known("binance", name):
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


def _listed(frame: Frame, document: Any) -> list[Any]:
    if has_repeated_key(_object(document)):
        raise BadField("duplicate_key")
    found = document.get("symbols")
    if not isinstance(found, list):
        raise BadField("not_an_array")
    return found


def _binance_symbol(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    names = [fields.text(_object(value).get(name)) for name in ("symbol", "baseAsset", "quoteAsset")]
    if not all(symbols.is_name(name) and len(name) <= _NAME_CHARS for name in names):
        raise BadField("unknown_value")
    into.symbols.append((index, row, names[0], frame.received_us, *names[1:]))


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
    into.trades.append((index, row, f"{base}-{quote}", key, None, None, side, price, quantity, moment))


def _binance_ticker(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    ticker = _object(value)
    name = fields.text(ticker.get("symbol"))
    if not into.names.known("binance", name):
        raise BadField("unknown_symbol")
    number = {key: fields.text_number(ticker.get(key)) for key in _TICKER_NUMBERS}
    times = [fields.event_time_us(ticker.get(key), frame.received_us or 0, micros=True) for key in _TICKER_TIMES]
    change = fields.held(number["priceChange"], 24, 12, signed=True)
    prices = [
        fields.held(number[key], 24, 12) for key in ("weightedAvgPrice", "prevClosePrice", "bidPrice", "askPrice")
    ]
    traded = [fields.price_text(number[key]) for key in ("openPrice", "highPrice", "lowPrice")]
    ids = [None if ticker.get(key) == -1 else fields.whole(ticker.get(key)) for key in ("firstId", "lastId")]
    into.tickers.append(
        (
            *(index, row, name, *times, fields.price_text(number["lastPrice"]), change, *prices, *traded),
            fields.held(number["priceChangePercent"], 18, 8, signed=True),
            *(fields.held(number[key], 24, 8) for key in ("lastQty", "bidQty", "askQty")),
            fields.held(number["volume"], 34, 8),
            fields.held(number["quoteVolume"], 38, 20),
            *ids,
            fields.whole(ticker.get("count")),
        )
    )


def _coincap_price(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    slug, stated = value
    if symbols.in_dollars("coincap", slug) is None:
        raise BadField("unknown_symbol")
    price = fields.stated_price(fields.text_number(stated))
    into.prices.append((index, row, slug, frame.received_us, price, None, None, None))


def _coingecko_simple(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    coin_id, coin = value[0], _object(value[1])
    moment = fields.seconds_us(coin.get("last_updated_at"), frame.received_us or 0)
    stated = [coin.get(key) for key in ("usd", "usd_24h_vol", "usd_24h_change", "usd_market_cap")]
    _coingecko_price(index, row, coin_id, moment, stated, into)


def _coingecko_market(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    coin = _object(value)
    moment = fields.iso_time_us(coin.get("last_updated"), frame.received_us or 0)
    keys = ("current_price", "total_volume", "price_change_percentage_24h", "market_cap")
    _coingecko_price(index, row, fields.text(coin.get("id")), moment, [coin.get(key) for key in keys], into)


def _coingecko_price(index: int, row: int, coin_id: str, moment: int, stated: list[Any], into: Judged) -> None:
    if symbols.in_dollars("coingecko", coin_id) is None:
        raise BadField("unknown_symbol")
    price = fields.stated_price(fields.json_number(stated[0]))
    volume, change, cap = (None if value is None else fields.json_number(value) for value in stated[1:])
    into.prices.append(
        (
            *(index, row, coin_id, moment, price),
            None if volume is None else fields.held(volume, 38, 20),
            None if change is None else fields.held(change, 38, 28, signed=True),
            None if cap is None else fields.held(cap, 38, 20),
        )
    )


def _disconnect(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    marker = _object(value)
    start, end = fields.whole(marker.get("from_time_us")), fields.whole(marker.get("to_time_us"))
    if marker.get("kind") != "disconnect" or start > end:
        raise BadField("not_a_disconnect")
    if end > (frame.received_us or 0) + fields.LATEST_AHEAD_US:
        raise BadField("time_out_of_range")
    name = "*" if "symbol" not in marker else _canonical(frame, fields.text(marker["symbol"]))
    into.gaps.append((index, row, name, start, end, fields.text(marker.get("reason"))))


def _canonical(frame: Frame, venue_symbol: str) -> str:
    pair = symbols.of_bybit(venue_symbol) if str(frame.venue) in _BYBIT_VENUES else None
    if pair is None:  # the markers of no other venue name symbols
        raise BadField("unknown_symbol")
    return "-".join(pair)


def _binance_marker(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    marker = _object(value)
    if marker.get("kind") != "unrecoverable":
        _disconnect(index, row, frame, value, into)
        return
    name, first, last = fields.text(marker.get("symbol")), *(fields.whole(marker.get(k)) for k in ("from_id", "to_id"))
    if not into.names.known("binance", name):
        raise BadField("unknown_symbol")
    if first > last:
        raise BadField("not_a_range")
    into.lost.append((name, first, last))


_BINANCE = {
    "trade": _Reader(_binance_stream, _binance_rest),
    "kline": _Reader(_array_wanted, _binance_candle),
    "ticker": _Reader(_array_wanted, _binance_ticker),
    "symbols": _Reader(_object_wanted, _binance_symbol, inside=_listed),
    "gap": _Reader(_binance_marker),
    DUMP: _Reader(_array_wanted),
}
_COINCAP_EXCHANGE = {"trade": _Reader(_coincap_trade), "gap": _Reader(_disconnect)}
_BYBIT = {"trade": _Reader(not_bybit, bybit_trade, inside=bybit_rows), "gap": _Reader(_disconnect)}
_READERS = {
    "binance": _BINANCE,
    **dict.fromkeys(_BYBIT_VENUES, _BYBIT),
    "coincap": {"price": _Reader(_object_wanted, member=_coincap_price), "gap": _Reader(_disconnect)},
    "coingecko": {"price": _Reader(_object_wanted, _coingecko_market, _coingecko_simple), "gap": _Reader(_disconnect)},
}
