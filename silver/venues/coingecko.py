"""CoinGecko: prices in US dollars, `simple/price` and `coins/markets`.

Contract: coingecko/coingecko-api-oas of 2026-06-22. All figures are JSON numbers, whole or not; `simple/price` is an
object by id with times in whole seconds, `coins/markets` a list with times as ISO-8601 text. The 24 h change may be
null; an id that is unknown there is left out. Until a coin is renewed its time stays, and so does its price.
"""

from __future__ import annotations

from typing import Any

from silver import quality
from silver.fields import Fields
from silver.rows import WHOLE_FRAME, Frame, ParsedRow, Price, Rejected
from silver.strict_json import Repeated, faults
from silver.venues.venue import Venue

# What a list has beside the figures that are kept; the names are documented, the types are not all.
_MARKET_FIELDS_LEFT = (
    *("symbol", "name", "image", "market_cap_rank", "market_cap_rank_with_rehypothecated", "fully_diluted_valuation"),
    *("high_24h", "low_24h", "price_change_24h", "market_cap_change_24h", "market_cap_change_percentage_24h"),
    *("circulating_supply", "total_supply", "max_supply", "ath", "ath_change_percentage", "ath_date", "atl"),
    *("atl_change_percentage", "atl_date", "roi"),
)


def parse_prices(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse `simple/price` (an object: a price for each id) or `coins/markets` (a list: a price an object)."""
    if isinstance(value, Repeated):
        return [Rejected(WHOLE_FRAME, ("duplicate_key",))]
    if isinstance(value, dict):
        return [_simple(frame, row, coin_id, item) for row, (coin_id, item) in enumerate(value.items())]
    if isinstance(value, list):
        return [_market(frame, row, item) for row, item in enumerate(value)]
    return [Rejected(WHOLE_FRAME, ("not_object",))]


def _simple(frame: Frame, row: int, coin_id: str, item: Any) -> ParsedRow:
    if not isinstance(item, dict):
        return Rejected(row, (*faults(coin_id), "not_object"))
    fields = Fields(item, frame.received_us)
    fields.reasons.extend(faults(coin_id))
    return _price(
        frame,
        row,
        coin_id,
        fields,
        fields.decimal("usd", quality.STATED_PRICE),
        fields.seconds_us("last_updated_at"),
        ("usd_24h_vol", "usd_24h_change", "usd_market_cap"),
    )


def _market(frame: Frame, row: int, item: Any) -> ParsedRow:
    if not isinstance(item, dict):
        return Rejected(row, ("not_object",))
    fields = Fields(item, frame.received_us)
    fields.leave_out(_MARKET_FIELDS_LEFT)
    return _price(
        frame,
        row,
        fields.text("id"),
        fields,
        fields.decimal("current_price", quality.STATED_PRICE),
        fields.iso_time_us("last_updated"),
        ("total_volume", "price_change_percentage_24h", "market_cap"),
    )


def _price(
    frame: Frame,
    row: int,
    coin_id: str | None,
    fields: Fields,
    price: Any,
    updated_at: int | None,
    beside: tuple[str, str, str],
) -> ParsedRow:
    volume, change, market_cap = beside
    volume_24h = fields.decimal_if_stated(volume, quality.AMOUNT)
    change_24h_pct = fields.decimal_if_stated(change, quality.STATED_CHANGE_PCT)
    cap = fields.decimal_if_stated(market_cap, quality.AMOUNT)
    pair = frame.symbols.of_coingecko(coin_id) if coin_id is not None else None
    if coin_id is not None and pair is None:
        fields.reasons.append(frame.symbols.refusal("coingecko", coin_id))
    if fields.reasons or coin_id is None or pair is None or price is None or updated_at is None:
        return Rejected(row, tuple(fields.reasons))
    return Price(
        row=row,
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        venue_symbol=coin_id,
        updated_at=updated_at,
        price=price,
        volume_24h=volume_24h,
        change_24h_pct=change_24h_pct,
        market_cap=cap,
        rescued=fields.rescued(),
    )


COINGECKO = Venue(source="coingecko", covers=lambda venue: venue == "coingecko", parsers={"price": parse_prices})
