"""CoinCap v2 trade streams: exchanges, asset slugs, and frames with numbers for price and volume."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.catalogue import Symbol
from simulator.trades import number_text

VENUE_PREFIX = "coincap-"


@dataclass(frozen=True)
class Exchange:
    """How one exchange appears on CoinCap.

    Args:
        name: as in the URL and in the frames.
        listed: how many of the catalogue's symbols it trades.
        quotes: slug of each quote asset; a symbol with another quote is not traded.
        resolution_us: grid of its timestamps; gemini's are whole seconds.
    """

    name: str
    listed: int
    quotes: tuple[tuple[str, str], ...]
    resolution_us: int = 1_000

    @property
    def venue(self) -> str:
        """The venue in the ledger."""
        return VENUE_PREFIX + self.name

    def market(self, symbols: tuple[Symbol, ...]) -> list[Symbol]:
        """Give what it trades of the listed symbols, in their order."""
        quotes = dict(self.quotes)
        return [symbol for symbol in symbols[: self.listed] if symbol.quote in quotes]


_TETHER = (("USDT", "tether"), ("BTC", "bitcoin"))
_DOLLAR = (("USDT", "united-states-dollar"), ("BTC", "bitcoin"))

EXCHANGES = {
    exchange.name: exchange
    for exchange in (
        Exchange("binance", 24, _TETHER),
        Exchange("bitso", 6, _TETHER),
        Exchange("gemini", 4, _DOLLAR, resolution_us=1_000_000),
        Exchange("gdax", 12, _DOLLAR),
        Exchange("huobi", 20, _TETHER),
    )
}


def slugs(exchange: Exchange, symbol: Symbol) -> tuple[str, str]:
    """Give base and quote as CoinCap writes them."""
    return symbol.base_slug, dict(exchange.quotes)[symbol.quote]


def trade_frame(
    exchange: Exchange,
    symbol: Symbol,
    ticks: int,
    lots: int,
    buy: bool,
    time_us: int,
    log_usdt_per_quote: float | None,
) -> tuple[bytes, str, str]:
    """Write one frame.

    Args:
        exchange: whose stream it is.
        symbol: the market.
        ticks: price in ticks.
        lots: quantity in lots.
        buy: whether the taker bought.
        time_us: trade time, UTC microseconds.
        log_usdt_per_quote: log of the quote asset's price for `priceUsd`; None leaves the field out.

    Returns:
        The frame, and price and volume as they are written in it.
    """
    base, quote = slugs(exchange, symbol)
    price = number_text(ticks, symbol.price_decimals)
    volume = number_text(lots, symbol.quantity_decimals)
    usd = ""
    if log_usdt_per_quote is not None:
        in_usd = ticks / 10**symbol.price_decimals * math.exp(log_usdt_per_quote)
        usd = f',"priceUsd":{f"{in_usd:.13f}".rstrip("0").rstrip(".")}'
    frame = (
        f'{{"exchange":"{exchange.name}","base":"{base}","quote":"{quote}","direction":"{"buy" if buy else "sell"}",'
        f'"price":{price},"volume":{volume},"timestamp":{time_us // 1_000}{usd}}}'
    )
    return frame.encode(), price, volume
