"""CoinGecko's prices in US dollars, by REST (coingecko/coingecko-api-oas; errors and limits: docs.coingecko.com)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from bronze.rest import RestClient
from bronze.venues.polled import Poll, looks_like
from bronze.venues.protocol import PRICE
from lakehouse.errors import SettingsError
from lakehouse.home import is_loopback
from lakehouse.settings import Settings

KEY_HEADER = "x-cg-demo-api-key"
# What it says stays the same for this long without a paid plan, and failed calls count, too.
RENEWED_S = 60.0
_SIMPLE = {
    "vs_currencies": "usd",
    "include_market_cap": "true",
    "include_24hr_vol": "true",
    "include_24hr_change": "true",
    "include_last_updated_at": "true",
    "precision": "full",
}
_MARKETS = {"vs_currency": "usd", "per_page": "250", "page": "1", "precision": "full"}
_MOST_IDS = 250  # on one page of coins/markets


@dataclass(frozen=True, eq=False)
class PricePoll:
    """One of the two questions.

    Args:
        key: the path under /api/v3.
        params: of the query, without the ids.
        ids: of the coins.
        opening: with which a good body begins.
        interval_s: time between two answers.
    """

    key: str
    params: Mapping[str, str]
    ids: tuple[str, ...]
    opening: bytes
    interval_s: float
    venue: str = "coingecko"
    channel: str = PRICE

    def ask(self, rest: RestClient) -> bytes:
        """Ask once.

        Raises:
            RestError: there was no answer.
        """
        return rest.get(f"/api/v3/{self.key}", {"ids": ",".join(self.ids), **self.params}, 1)

    def doubt(self, body: bytes) -> str:
        """An object, or a list, in which some coin that was asked for is named."""
        if doubt := looks_like(body, self.opening):
            return doubt
        named = any(f'"{coin_id}"'.encode() in body for coin_id in self.ids)
        return "" if named else f"names none of the coins asked for: {body[:100].decode(errors='replace')}"


class CoinGecko:
    """The source and venue `coingecko`."""

    source = "coingecko"

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """The API."""
        return (settings.venues.coingecko.url,)

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Refuse to ask more often than the answers change.

        Raises:
            SettingsError: an interval is too short, or the ids are none or too many.
        """
        coingecko = settings.venues.coingecko
        shortest = min(coingecko.interval_s, coingecko.markets_interval_s)
        if shortest < RENEWED_S and not is_loopback(coingecko.url):
            raise SettingsError(
                f"venues.coingecko asks every {shortest:g} s",
                f"Its answers change every {RENEWED_S:g} s: ask no faster.",
            )
        if not 0 < len(coingecko.ids) <= _MOST_IDS:
            raise SettingsError(
                f"venues.coingecko.ids names {len(coingecko.ids)} coins", f"Name 1 to {_MOST_IDS} of them."
            )

    def client(self, settings: Settings, stop: threading.Event) -> RestClient:
        """One connection within the calls a minute; the key goes into a header."""
        coingecko = settings.venues.coingecko
        headers = {KEY_HEADER: coingecko.api_key} if coingecko.api_key else {}
        timeout_s = settings.collector.rest_timeout_s
        return RestClient(coingecko.url, coingecko.calls_per_minute, timeout_s, stop, headers)

    def polls(self, settings: Settings) -> tuple[Poll, ...]:
        """Prices often, market caps now and then."""
        coingecko = settings.venues.coingecko
        return (
            PricePoll("simple/price", _SIMPLE, coingecko.ids, b"{", coingecko.interval_s),
            PricePoll("coins/markets", _MARKETS, coingecko.ids, b"[", coingecko.markets_interval_s),
        )
