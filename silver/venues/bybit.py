"""Bybit v5 public trades, spot and linear: stream frames and the REST recent-trade body.

Contract: bybit-exchange/docs, docs/v5/websocket/public/trade.mdx and docs/v5/market/recent-trade.mdx, of 2026-07-24.
Prices and sizes are strings; times are in ms (a string in REST). The key is `i` (REST: `execId`) as text: a UUID on
linear, 19 digits that do not rise by one on spot. `seq` never falls within a symbol and is shared by the fills of one
match. `S` is the side of the taker. Known and dropped: type, ts, L, and BT and RPI where they are false; a block trade
or one against the retail book says so in `rescued`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from silver import quality
from silver.fields import Fields
from silver.rows import WHOLE_FRAME, Frame, ParsedRow, Rejected, Trade
from silver.strict_json import Number
from silver.symbols import Symbols
from silver.venues.venue import Venue

PREFIX = "bybit-"
VENUES = (f"{PREFIX}spot", f"{PREFIX}linear")
_TOPIC = "publicTrade."
_SIDES = {"Buy": "buy", "Sell": "sell"}
_KEY = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True)
class _Names:
    symbol: str
    key: str
    side: str
    price: str
    quantity: str
    flags: tuple[str, ...]


_STREAM = _Names("s", "i", "S", "p", "v", ("BT", "RPI"))
_REST = _Names("symbol", "execId", "side", "price", "size", ("isBlockTrade", "isRPITrade"))


def parse_trades(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse a stream frame or a REST body: a trade a row."""
    if not isinstance(value, dict):
        return [Rejected(WHOLE_FRAME, ("not_object",))]
    return _rest_body(frame, value) if "retCode" in value else _stream_frame(frame, value)


def _stream_frame(frame: Frame, value: dict[str, Any]) -> list[ParsedRow]:
    wrapper = _without(frame, value, "data")
    topic = wrapper.text("topic")
    if topic is not None and not topic.startswith(_TOPIC):
        wrapper.reasons.append("unknown_value:topic")
    wrapper.one_of("type", ("snapshot",))
    wrapper.optional("ts", Number)
    items = _items(wrapper, value, "data")
    if wrapper.reasons or topic is None or items is None:
        return [Rejected(WHOLE_FRAME, tuple(wrapper.reasons))]
    symbol, extra = topic.removeprefix(_TOPIC), wrapper.rescued()
    return [_with_extra(_trade(frame, row, item, _STREAM, symbol), extra) for row, item in enumerate(items)]


def _rest_body(frame: Frame, value: dict[str, Any]) -> list[ParsedRow]:
    wrapper = _without(frame, value, "result")
    if wrapper.integer("retCode"):
        wrapper.reasons.append("unknown_value:retCode")
    result = value.get("result")
    if not isinstance(result, dict):
        kind = "wrong_type" if "result" in value else "missing_field"
        return [Rejected(WHOLE_FRAME, (*wrapper.reasons, f"{kind}:result"))]
    inner = _without(frame, result, "list")
    inner.one_of("category", (str(frame.venue).removeprefix(PREFIX),))
    items = _items(inner, result, "list")
    reasons = (*wrapper.reasons, *inner.reasons)
    if reasons or items is None:
        return [Rejected(WHOLE_FRAME, reasons)]
    return [_trade(frame, row, item, _REST, None) for row, item in enumerate(items)]


def _without(frame: Frame, value: dict[str, Any], field: str) -> Fields:
    """The fields of an object but one, whose faults are its own rows'."""
    return Fields(type(value)({**value, field: None}), frame.received_us)


def _items(wrapper: Fields, value: dict[str, Any], field: str) -> list[Any] | None:
    wrapper.optional(field, type(None))
    items = value.get(field)
    if items == []:
        wrapper.reasons.append(f"unknown_value:{field}")  # a frame or page without trades is none
    if isinstance(items, list):
        return items
    kind = "missing_field" if field not in value else "null_field" if items is None else "wrong_type"
    wrapper.reasons.append(f"{kind}:{field}")
    return None


def _with_extra(parsed: ParsedRow, extra: str | None) -> ParsedRow:
    if extra is None or not isinstance(parsed, Trade):
        return parsed
    return replace(parsed, rescued=f'{{"frame":{extra},"data":{parsed.rescued or "{}"}}}')


def _trade(frame: Frame, row: int, item: Any, names: _Names, symbol_of_topic: str | None) -> ParsedRow:
    if not isinstance(item, dict):
        return Rejected(row, ("not_object",))
    fields = Fields(item, frame.received_us)
    venue_symbol = fields.text(names.symbol)
    pair = frame.symbols.of_bybit(str(frame.venue), venue_symbol) if venue_symbol is not None else None
    if venue_symbol is not None and pair is None:
        fields.reasons.append("unknown_symbol")
    elif venue_symbol is not None and symbol_of_topic not in (None, venue_symbol):
        fields.reasons.append(f"unknown_value:{names.symbol}")
    key = fields.text(names.key)
    if key is not None and not _KEY.fullmatch(key):
        fields.reasons.append(f"unknown_value:{names.key}")
    side = fields.one_of(names.side, _SIDES)
    price = fields.quoted_decimal(names.price, quality.PRICE)
    quantity = fields.quoted_decimal(names.quantity, quality.QUANTITY)
    quality.check_amount(price, quantity, fields.reasons)
    if names is _STREAM:
        event_time, sequence = fields.time_us("T", micros_allowed=False), fields.integer("seq")
        fields.optional("L", str)
    else:
        event_time, sequence = fields.quoted_time_us("time"), fields.quoted_integer("seq")
    for flag in names.flags:
        if item.get(flag) is False:
            fields.optional(flag, bool)
    if fields.reasons or venue_symbol is None or pair is None or key is None or price is None or quantity is None:
        return Rejected(row, tuple(fields.reasons))
    assert event_time is not None  # noqa: S101 - no reason was noted
    return Trade(
        row=row,
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        venue_symbol=venue_symbol,
        trade_key=key,
        trade_id=None,
        side=_SIDES[str(side)],
        price=price,
        quantity=quantity,
        event_time=event_time,
        rescued=fields.rescued(),
        venue_sequence=sequence,
    )


BYBIT = Venue(
    source="bybit",
    covers=lambda venue: venue in VENUES,
    parsers={"trade": parse_trades},
    pair_of=Symbols.of_bybit,
)
