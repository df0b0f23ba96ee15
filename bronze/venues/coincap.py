"""CoinCap: v2 trades, dead since 2025-03-31, and v3 prices, which take a key; the URL is the subscription."""

from __future__ import annotations

import json
import re
import threading

from pydantic import SecretStr

from bronze.spool import Spool
from bronze.venues.protocol import CONTROL, PRICE, TRADE, Envelope, FeedSpec, Heartbeat
from lakehouse.errors import CryptolakeError
from lakehouse.home import is_loopback
from lakehouse.settings import Settings

_HEAD = re.compile(rb'\{"exchange":"([a-z0-9]{1,32})","base":"([a-z0-9.-]{1,80})","quote":"([a-z0-9.-]{1,80})",')
_PRICES = re.compile(rb'\{"[a-z0-9.-]{1,80}":"[0-9.]{1,60}"[,}]')
_PRICES_KEY = "prices"
_UNAUTHORIZED = b"Unauthorized"
_KEY_VARIABLE = "CRYPTOLAKE__VENUES__COINCAP__API_KEY"
_TIME = re.compile(rb'"timestamp":(\d{13})[,}]')


class CoinCap:
    """The source `coincap`; its venues are `coincap-<exchange>` for trades and `coincap` for prices.

    Trades come from a simulator (or a tape) only, prices where a key is set.
    """

    source = "coincap"
    has_keys = False

    def heartbeat(self, settings: Settings) -> Heartbeat:
        """Nothing documented; the best production client pings every 10 s (venues.md 1.1)."""
        return Heartbeat(settings.venues.coincap.ping_interval_s)

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """The streams that there are."""
        return tuple(spec.url for spec in self.feeds(settings)) or (settings.venues.coincap.ws_url,)

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Say that the real venue sends no trades any more, and prices to those with a key only.

        Raises:
            CryptolakeError: nothing would come.
        """
        if not self.feeds(settings):
            raise CryptolakeError(
                f"CoinCap ended its live trades on 2025-03-31; nothing comes from {settings.venues.coincap.ws_url}",
                f"Its prices take a key: set {_KEY_VARIABLE}. Recorded trades: `cryptolake replay TAPE --venue"
                " coincap`.",
            )

    def feeds(self, settings: Settings) -> tuple[FeedSpec, ...]:
        """One connection per exchange for trades, and one for prices."""
        coincap = settings.venues.coincap
        feeds = []
        if is_loopback(coincap.ws_url):
            trades = f"{coincap.ws_url.rstrip('/')}/trades"
            feeds = [FeedSpec(f"coincap-{exchange}", f"{trades}/{exchange}") for exchange in coincap.exchanges]
        if coincap.api_key is not None:
            url = f"{coincap.price_ws_url.rstrip('/')}/prices?assets={','.join(coincap.price_assets)}"
            secret = SecretStr(f"&apiKey={coincap.api_key.get_secret_value()}")
            hint = f"(is {_KEY_VARIABLE} right, and has it credit?)"
            feeds.append(FeedSpec(self.source, url, secret=secret, when_refused=hint))
        return tuple(feeds)

    def listing(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        """None: its names are those of conf/symbols.yml."""

    def refill(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        """None: nothing tells what is missing, and nothing brings it back."""

    def envelope(self, frame: bytes, venue: str | None) -> Envelope:
        """Take exchange, base, quote and time from a trade frame; tell prices from what is said instead of them."""
        if venue == self.source or (venue is None and _PRICES.match(frame)):
            return self._of_prices(frame)
        head = _HEAD.match(frame)
        if head is None:
            return Envelope(venue or self.source, TRADE, "")
        exchange, base, quote = (text.decode() for text in head.groups())
        time = _TIME.search(frame, head.end())
        event_time_us = int(time[1]) * 1000 if time else 0
        return Envelope(venue or f"coincap-{exchange}", TRADE, f"{base}-{quote}", event_time_us=event_time_us)

    def _of_prices(self, frame: bytes) -> Envelope:
        if frame.startswith(_UNAUTHORIZED):
            words = frame[:100].decode(errors="replace")
            return Envelope(self.source, CONTROL, _PRICES_KEY, refused=" ".join(words.split()))
        if farewell := _farewell(frame):
            return Envelope(self.source, CONTROL, _PRICES_KEY, refused=farewell)
        return Envelope(self.source, PRICE, _PRICES_KEY)


def _farewell(frame: bytes) -> str:
    """The words of `{"data":{"message":"We are deprecating ..."},...}`; empty when it is none."""
    if not frame.startswith(b'{"data":{"message":'):
        return ""
    try:
        return str(json.loads(frame)["data"]["message"])[:200]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
