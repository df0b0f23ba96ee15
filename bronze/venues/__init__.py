"""One file a venue; each has one line here."""

from __future__ import annotations

from bronze.venues.binance import Binance
from bronze.venues.coincap import CoinCap
from bronze.venues.protocol import Venue
from lakehouse.errors import CryptolakeError

VENUES: dict[str, Venue] = {
    "binance": Binance(),
    "coincap": CoinCap(),
}


def venue_of(source: str) -> Venue:
    """The venue of a source's name.

    Raises:
        CryptolakeError: there is none of that name.
    """
    if source not in VENUES:
        raise CryptolakeError(f"No source {source!r}", f"Sources: {', '.join(VENUES)}.")
    return VENUES[source]
