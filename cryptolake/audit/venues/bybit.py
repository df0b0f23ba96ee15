"""The audit's own reading of Bybit's public trades, from the venue's contract and not from silver's code."""

from __future__ import annotations

import re
from typing import Any

from cryptolake.audit import fields, symbols
from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Frame, Judged
from cryptolake.audit.strict_json import flaw
from cryptolake.audit.venues.disconnects import disconnect
from cryptolake.audit.venues.reading import Reader

_TOPIC = "publicTrade."
_SIDES = {"Buy": "buy", "Sell": "sell"}
_NUMERAL = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_KEY = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


def _rows(frame: Frame, document: Any) -> list[Any]:
    """Take the trades out of a stream frame or a REST body, and refuse what is wrong around them.

    Each comes with what its symbol must be, None where only it says so.
    """
    if not isinstance(document, dict):
        raise BadField("not_an_object")
    if "retCode" not in document:
        _check_shell(document, "data")
        topic = fields.text(document.get("topic"))
        if not topic.startswith(_TOPIC) or document.get("type") != "snapshot":
            raise BadField("not_public_trades")
        return [[topic.removeprefix(_TOPIC), trade] for trade in _list(document.get("data"))]
    _check_shell(document, "result")
    result = document.get("result")
    if fields.whole(document["retCode"]) != 0 or not isinstance(result, dict):
        raise BadField("not_recent_trades")
    _check_shell(result, "list")
    if f"bybit-{fields.text(result.get('category'))}" != frame.venue:
        raise BadField("other_category")
    return [[None, trade] for trade in _list(result.get("list"))]


def _trade(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    """Read one trade, as `_rows` gives it."""
    symbol_of_topic, trade = value
    if not isinstance(trade, dict):
        raise BadField("not_an_object")
    streamed = symbol_of_topic is not None
    names = "s i S p v T seq" if streamed else "symbol execId side price size time seq"
    found = [trade.get(name) for name in names.split()]
    symbol, key, side = map(fields.text, found[:3])
    price, quantity = map(fields.text_number, found[3:5])
    time, number = found[5:]
    if symbols.of_bybit(str(frame.venue), symbol) is None or symbol_of_topic not in (None, symbol):
        raise BadField("unknown_symbol")
    if not _KEY.fullmatch(key) or side not in _SIDES:
        raise BadField("unknown_value")
    texts = fields.price_and_quantity(price, quantity)
    if not streamed:
        time, number = _numeral(time), _numeral(number)
    moment = fields.event_time_us(time, frame.received_us or 0, micros=False)
    into.trades.append((index, row, symbol, key, None, fields.whole(number), _SIDES[side], *texts, moment))


def _not_trades(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    """Refuse a frame that is not one of many rows: Bybit has no other."""
    raise BadField("not_public_trades")


def _check_shell(shell: dict[str, Any], field: str) -> None:
    # The rows' own flaws are their own.
    if why := flaw(type(shell)({**shell, field: None})):
        raise BadField(why)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise BadField("no_trades")
    return value


def _numeral(value: Any) -> int:
    text = fields.text(value)
    if not _NUMERAL.fullmatch(text) or len(text) > 19:
        raise BadField("not_an_integer")
    return int(text)


CHANNELS = {"trade": Reader(_not_trades, _trade, inside=_rows), "gap": Reader(disconnect)}
