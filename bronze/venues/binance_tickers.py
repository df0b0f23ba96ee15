"""Binance's 24 h tickers of the greatest pairs, by REST (docs: rest-api.md, "24hr ticker price change statistics")."""

from __future__ import annotations

import json
import logging
import threading
import time
from decimal import Decimal, DecimalException

from bronze.rest import RestClient, RestError
from bronze.venues.polled import Poll, looks_like
from bronze.venues.protocol import TICKER
from lakehouse.settings import Settings, TickerSettings

log = logging.getLogger(__name__)
PATH = "/api/v3/ticker/24hr"
WEIGHT_OF_ALL = 80
_BAD_REQUEST = 400


class BinanceTickers:
    """The source `tickers`; its venue is `binance`."""

    source = "tickers"

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """The REST API."""
        return (settings.venues.binance.rest_url,)

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Nothing to refuse."""

    def client(self, settings: Settings, stop: threading.Event) -> RestClient:
        """One connection within the weight."""
        binance = settings.venues.binance
        return RestClient(binance.rest_url, binance.rest_weight_per_minute, settings.collector.rest_timeout_s, stop)

    def polls(self, settings: Settings) -> tuple[Poll, ...]:
        """One poll of the greatest pairs."""
        return (TopTickers(settings.venues.tickers),)


class TopTickers:
    """Finds the greatest pairs now and then from the tickers of all, and asks for theirs.

    Args:
        settings: how many pairs, how often.
    """

    venue = "binance"
    channel = TICKER
    key = "ticker/24hr"

    def __init__(self, settings: TickerSettings) -> None:
        self.interval_s = settings.interval_s
        self._settings = settings
        self._symbols: list[str] = []
        self._ranked_at = float("-inf")

    def ask(self, rest: RestClient) -> bytes:
        """Ask for the tickers of the greatest pairs.

        Raises:
            RestError: there was no answer.
        """
        self._rank(rest)
        names = json.dumps(self._symbols, separators=(",", ":"))
        try:
            return rest.get(PATH, {"symbols": names}, weight_of(len(self._symbols)))
        except RestError as error:
            if error.status == _BAD_REQUEST:
                self._ranked_at = float("-inf")  # a pair that is listed no longer makes the whole request a bad one
            raise

    def doubt(self, body: bytes) -> str:
        """A list was asked for."""
        return looks_like(body, b"[")

    def _rank(self, rest: RestClient) -> None:
        if time.monotonic() - self._ranked_at < self._settings.ranking_interval_s:
            return
        try:
            found = greatest(rest.get(PATH, {"type": "MINI"}, WEIGHT_OF_ALL), self._settings.quote, self._settings.top)
        except RestError as error:
            if not self._symbols or error.retry_after_s:
                raise
            log.warning("tickers: the pairs could not be ranked anew (%s); the old ones stay", error)
            return
        self._ranked_at = time.monotonic()
        if found != self._symbols:
            log.info("tickers: %d pairs from %s to %s", len(found), found[0], found[-1])
        self._symbols = found


def greatest(body: bytes, quote: str, top: int) -> list[str]:
    """The pairs of one quote asset with the greatest quote volume, in falling order.

    Args:
        body: ticker/24hr of all pairs.
        quote: e.g. USDT.
        top: how many.

    Raises:
        RestError: the body is no list of tickers, or holds no such pair.
    """
    try:
        volumes = {row["symbol"]: Decimal(row["quoteVolume"]) for row in json.loads(body)}
    except (ValueError, LookupError, TypeError, DecimalException) as error:
        raise RestError(f"no list of tickers: {body[:100]!r}") from error
    pairs = [name for name in volumes if isinstance(name, str) and name.endswith(quote) and name != quote]
    if not pairs:
        raise RestError(f"no pair in {quote} among {len(volumes)} tickers")
    return sorted(pairs, key=lambda name: (-volumes[name], name))[:top]


def weight_of(symbols: int) -> int:
    """What the venue counts for the tickers of so many pairs."""
    return 2 if symbols <= 20 else 40 if symbols <= 100 else WEIGHT_OF_ALL
