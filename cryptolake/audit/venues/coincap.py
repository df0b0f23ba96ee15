"""CoinCap: trades of other exchanges (v2), and its own prices in dollars (v3)."""

from __future__ import annotations

from typing import Any

from cryptolake.audit import fields, symbols
from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Frame, Judged
from cryptolake.audit.venues.disconnects import disconnect
from cryptolake.audit.venues.reading import Reader, object_in, object_wanted

EXCHANGE = "coincap-"  # a venue whose trades CoinCap passes on is called by this and its name


def _trade(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    trade = object_in(value)
    if trade.get("exchange") != str(frame.venue).removeprefix(EXCHANGE):
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


def _price(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    slug, stated = value
    if symbols.in_dollars("coincap", slug) is None:
        raise BadField("unknown_symbol")
    price = fields.stated_price(fields.text_number(stated))
    into.prices.append((index, row, slug, frame.received_us, price, None, None, None))


EXCHANGE_CHANNELS = {"trade": Reader(_trade), "gap": Reader(disconnect)}
PRICE_CHANNELS = {"price": Reader(object_wanted, member=_price), "gap": Reader(disconnect)}
