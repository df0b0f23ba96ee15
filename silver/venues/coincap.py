"""CoinCap: v2 trade frames of one exchange each, as recorded until 2025-03-31, and v3 prices.

Contract: venues.md 1.1 of the project's reference. A trade: one object a frame with exchange, base, quote (asset
slugs), direction (of the taker), price and volume as JSON numbers, timestamp in ms; priceUsd is optional and dropped.
There is no id: the key is session, sequence and row, never the content; two equal fills in one millisecond are two
trades. Prices: one object a frame, asset slug to price in US dollars as text; there is no time, so they are of the
moment at which they were received.
"""

from __future__ import annotations

from typing import Any

from silver import quality
from silver.fields import Fields
from silver.rows import WHOLE_FRAME, Frame, ParsedRow, Price, Rejected, Trade
from silver.strict_json import Number, Repeated, faults
from silver.symbols import load_symbols
from silver.venues.venue import CanonicalTrade, Venue, canonical_digits

PREFIX = "coincap-"
_SIDES = ("buy", "sell")


def parse_trade(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse one trade; its exchange must be the one its venue header names."""
    if not isinstance(value, dict):
        return [Rejected(WHOLE_FRAME, ("not_object",))]
    fields = Fields(value, frame.received_us)
    fields.one_of("exchange", (str(frame.venue).removeprefix(PREFIX),))
    base, quote = fields.text("base"), fields.text("quote")
    pair = frame.symbols.of_coincap(base, quote) if base is not None and quote is not None else None
    if pair is None and base is not None and quote is not None:
        fields.reasons.append(frame.symbols.refusal("coincap", base, quote))
    side = fields.one_of("direction", _SIDES)
    price = fields.decimal("price", quality.PRICE)
    quantity = fields.decimal("volume", quality.QUANTITY)
    event_time = fields.time_us("timestamp", micros_allowed=False)
    quality.check_amount(price, quantity, fields.reasons)
    fields.optional("priceUsd", Number)
    if fields.reasons or pair is None or side is None or price is None or quantity is None or event_time is None:
        return [Rejected(WHOLE_FRAME, tuple(fields.reasons))]
    trade = Trade(
        row=0,
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        venue_symbol=f"{base}-{quote}",
        trade_key=f"{frame.session_id}:{frame.sequence}:0",
        trade_id=None,
        side=side,
        price=price,
        quantity=quantity,
        event_time=event_time,
        rescued=fields.rescued(),
    )
    return [trade]


def parse_prices(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse the prices of some assets, each a row."""
    if not isinstance(value, dict):
        return [Rejected(WHOLE_FRAME, ("not_object",))]
    if isinstance(value, Repeated):
        return [Rejected(WHOLE_FRAME, ("duplicate_key",))]
    return [_price(frame, row, slug, stated) for row, (slug, stated) in enumerate(value.items())]


def _price(frame: Frame, row: int, slug: str, stated: Any) -> ParsedRow:
    fields = Fields({"price": stated}, frame.received_us)
    fields.reasons.extend(faults(slug))
    price = fields.quoted_decimal("price", quality.STATED_PRICE)
    pair = frame.symbols.of_coincap_asset(slug)
    if pair is None:
        fields.reasons.append(frame.symbols.refusal("coincap", slug))
    if fields.reasons or pair is None or price is None or frame.received_us is None:
        return Rejected(row, tuple(fields.reasons))
    return Price(
        row=row,
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        venue_symbol=slug,
        updated_at=frame.received_us,
        price=price,
        volume_24h=None,
        change_24h_pct=None,
        market_cap=None,
        rescued=None,
    )


def canonical_trade() -> CanonicalTrade:
    """The fields in their documented order, numbers without exponent."""
    slug = '"([a-z0-9-]{1,60})"'
    pattern = (
        rf'\A\{{"exchange":{slug},"base":{slug},"quote":{slug},"direction":"(buy|sell)",'
        rf'"price":({canonical_digits(12, 12)}),"volume":({canonical_digits(16, 8)}),"timestamp":([1-9][0-9]{{12}})'
        r'(?:,"priceUsd":(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,25})?)?\}\z'
    )
    return CanonicalTrade(pattern, f"{PREFIX}$1,$2-$3,$2,$3,,$5,$6,$7,$4", load_symbols().coincap_assets)


COINCAP = Venue(
    source="coincap",
    covers=lambda venue: venue.startswith(PREFIX) and len(venue) > len(PREFIX),
    parsers={"trade": parse_trade},
    canonical_trade=canonical_trade,
)

COINCAP_PRICES = Venue(source="coincap", covers=lambda venue: venue == "coincap", parsers={"price": parse_prices})
