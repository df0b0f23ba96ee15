"""The venues that refine can read: a new one adds its line here."""

from __future__ import annotations

from silver.venues.binance import BINANCE
from silver.venues.bybit import BYBIT
from silver.venues.coincap import COINCAP, COINCAP_PRICES
from silver.venues.coingecko import COINGECKO
from silver.venues.venue import Venue

VENUES: tuple[Venue, ...] = (BINANCE, BYBIT, COINCAP, COINCAP_PRICES, COINGECKO)


def venue_named(header: str) -> Venue | None:
    """The venue that a venue header belongs to; None when it is unknown."""
    return next((venue for venue in VENUES if venue.covers(header)), None)
