"""CoinGecko: prices in dollars, as `simple/price` and as `coins/markets` say them."""

from __future__ import annotations

from typing import Any

from cryptolake.audit import fields, symbols
from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Frame, Judged
from cryptolake.audit.venues.disconnects import disconnect
from cryptolake.audit.venues.reading import Reader, object_in, object_wanted


def _simple(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    coin_id, coin = value[0], object_in(value[1])
    moment = fields.seconds_us(coin.get("last_updated_at"), frame.received_us or 0)
    stated = [coin.get(key) for key in ("usd", "usd_24h_vol", "usd_24h_change", "usd_market_cap")]
    _price(index, row, coin_id, moment, stated, into)


def _market(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    coin = object_in(value)
    moment = fields.iso_time_us(coin.get("last_updated"), frame.received_us or 0)
    keys = ("current_price", "total_volume", "price_change_percentage_24h", "market_cap")
    _price(index, row, fields.text(coin.get("id")), moment, [coin.get(key) for key in keys], into)


def _price(index: int, row: int, coin_id: str, moment: int, stated: list[Any], into: Judged) -> None:
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


CHANNELS = {"price": Reader(object_wanted, _market, _simple), "gap": Reader(disconnect)}
