"""CoinCap v2 trades: one connection per exchange, no subscription message, no ids; dead since 2025-03-31."""

from __future__ import annotations

import re

from bronze.venues.protocol import TRADE, Envelope, FeedSpec
from lakehouse.errors import CryptolakeError
from lakehouse.home import is_loopback
from lakehouse.settings import Settings

_HEAD = re.compile(rb'\{"exchange":"([a-z0-9]{1,32})","base":"([a-z0-9.-]{1,80})","quote":"([a-z0-9.-]{1,80})",')
_TIME = re.compile(rb'"timestamp":(\d{13})[,}]')


class CoinCap:
    """The source `coincap`; its venues are `coincap-<exchange>`."""

    source = "coincap"
    has_ids = False

    def ping_interval_s(self, settings: Settings) -> float | None:
        """Nothing documented; the best production client pings every 10 s (venues.md 1.1)."""
        return settings.venues.coincap.ping_interval_s

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """The streams."""
        return (settings.venues.coincap.ws_url,)

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Say that the real venue sends no trades any more.

        Raises:
            CryptolakeError: the URL is the real one.
        """
        if not is_loopback(settings.venues.coincap.ws_url):
            raise CryptolakeError(
                f"CoinCap ended its live trades on 2025-03-31; nothing comes from {settings.venues.coincap.ws_url}",
                "What there is: recorded trades (`cryptolake replay TAPE --venue coincap`), and the prices of its v3"
                " API, which take a key and come with a later version.",
            )

    def feeds(self, settings: Settings) -> tuple[FeedSpec, ...]:
        """One connection per exchange: the URL is the subscription."""
        coincap = settings.venues.coincap
        return tuple(
            FeedSpec(f"coincap-{exchange}", f"{coincap.ws_url.rstrip('/')}/trades/{exchange}")
            for exchange in coincap.exchanges
        )

    def envelope(self, frame: bytes, venue: str | None) -> Envelope:
        """Take exchange, base, quote and time from a trade frame."""
        head = _HEAD.match(frame)
        if head is None:
            return Envelope(venue or self.source, TRADE, "")
        exchange, base, quote = (text.decode() for text in head.groups())
        time = _TIME.search(frame, head.end())
        event_time_us = int(time[1]) * 1000 if time else 0
        return Envelope(venue or f"coincap-{exchange}", TRADE, f"{base}-{quote}", event_time_us=event_time_us)
