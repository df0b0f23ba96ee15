"""Binance's spot market: trades by stream, REST and daily dump, candles, tickers, the listing, ids that are lost."""

from __future__ import annotations

from typing import Any

from cryptolake.audit import fields, symbols
from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Bad, Frame, Judged
from cryptolake.audit.strict_json import flaw, has_repeated_key
from cryptolake.audit.venues.disconnects import disconnect
from cryptolake.audit.venues.reading import Reader, array_wanted, object_in, object_wanted

DUMP = "trade_dump"
_MINUTE_US = 60_000_000
_TICKER_TIMES = ("closeTime", "openTime")
_TICKER_NUMBERS = (
    *("lastPrice", "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastQty"),
    *("bidPrice", "bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume"),
)
_CANDLE_FIELDS = 12
_DUMP_COLUMNS, _DUMP_COLUMNS_NEEDED = 7, 6
_NAME_CHARS = 40


def read_dump(index: int, frame: Frame, into: Judged) -> None:
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
    _trade(index, row, frame, frame.key or "", [number, values[1], values[2], moment, maker], into)


def _streamed_trade(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    trade = object_in(value)
    if "data" in trade:
        fields.text(trade.get("stream"))
        trade = object_in(trade["data"])
    if trade.get("e", "trade") != "trade":
        raise BadField("not_a_trade")
    name = fields.text(trade.get("s"))
    _trade(index, row, frame, name, [trade.get(key) for key in ("t", "p", "q", "T", "m")], into)


def _rest_trade(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    trade = object_in(value)
    found = [trade.get(key) for key in ("id", "price", "qty", "time", "isBuyerMaker")]
    _trade(index, row, frame, frame.key or "", found, into)


def _trade(index: int, row: int, frame: Frame, name: str, found: list[Any], into: Judged) -> None:
    if not into.names.known("binance", name):
        raise BadField("unknown_symbol")
    number = fields.whole(found[0])
    price, quantity = fields.price_and_quantity(fields.text_number(found[1]), fields.text_number(found[2]))
    moment = fields.event_time_us(found[3], frame.received_us or 0, micros=True)
    side = "sell" if fields.flag(found[4]) else "buy"
    into.trades.append((index, row, name, str(number), number, None, side, price, quantity, moment))


def _candle(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
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
    if has_repeated_key(object_in(document)):
        raise BadField("duplicate_key")
    found = document.get("symbols")
    if not isinstance(found, list):
        raise BadField("not_an_array")
    return found


def _symbol(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    names = [fields.text(object_in(value).get(name)) for name in ("symbol", "baseAsset", "quoteAsset")]
    if not all(symbols.is_name(name) and len(name) <= _NAME_CHARS for name in names):
        raise BadField("unknown_value")
    if names[0] != names[1] + names[2]:
        raise BadField("unknown_value")
    into.symbols.append((index, row, names[0], frame.received_us, *names[1:]))


def _ticker(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    ticker = object_in(value)
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


def _marker(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    marker = object_in(value)
    if marker.get("kind") != "unrecoverable":
        disconnect(index, row, frame, value, into)
        return
    name, first, last = fields.text(marker.get("symbol")), *(fields.whole(marker.get(k)) for k in ("from_id", "to_id"))
    if not into.names.known("binance", name):
        raise BadField("unknown_symbol")
    if first > last:
        raise BadField("not_a_range")
    into.lost.append((name, first, last))


CHANNELS = {
    "trade": Reader(_streamed_trade, _rest_trade),
    "kline": Reader(array_wanted, _candle),
    "ticker": Reader(array_wanted, _ticker),
    "symbols": Reader(object_wanted, _symbol, inside=_listed),
    "gap": Reader(_marker),
    DUMP: Reader(array_wanted),
}
