"""One file a venue; each has one line here."""

from __future__ import annotations

from bronze.venues.binance import Binance
from bronze.venues.binance_tickers import BinanceTickers
from bronze.venues.bybit import Bybit
from bronze.venues.coincap import CoinCap
from bronze.venues.coingecko import CoinGecko
from bronze.venues.polled import PolledSource
from bronze.venues.protocol import Venue
from lakehouse.errors import CryptolakeError

VENUES: dict[str, Venue] = {
    "binance": Binance(),
    "bybit": Bybit(),
    "coincap": CoinCap(),
}
POLLED: dict[str, PolledSource] = {
    "tickers": BinanceTickers(),
    "coingecko": CoinGecko(),
}
SOURCES: tuple[str, ...] = (*VENUES, *POLLED)


def source_of(source: str) -> Venue | PolledSource:
    """What is collected under a source's name.

    Raises:
        CryptolakeError: there is none of that name.
    """
    return POLLED[source] if source in POLLED else venue_of(source)


def venue_of(source: str) -> Venue:
    """The venue that streams under a source's name.

    Raises:
        CryptolakeError: there is none of that name.
    """
    if source in POLLED:
        raise CryptolakeError(f"{source} is polled and has no frames of its own form", f"Take {', '.join(VENUES)}.")
    if source not in VENUES:
        raise CryptolakeError(f"No source {source!r}", f"Sources: {', '.join(SOURCES)}.")
    return VENUES[source]
