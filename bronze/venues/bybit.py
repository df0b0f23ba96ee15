"""Bybit v5 public trades: one connection a category, our own JSON heartbeat (docs: v5/websocket/public/trade.mdx)."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

from bronze.spool import Spool
from bronze.venues.protocol import CONTROL, TRADE, Envelope, FeedSpec, Heartbeat, Refill
from bronze.venues.readable import is_name, is_price, is_quantity, is_whole, read_object
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

PREFIX = "bybit-"
_TOPIC = "publicTrade."
_PING = '{"op":"ping"}'
_REFUSED = "(Bybit answers 403 to addresses in the US and in mainland China)"
_KEY = re.compile(r"[0-9A-Za-z-]{1,64}")
_FIRST_MS, _LAST_MS = 10**12, 10**13


class Bybit:
    """The source `bybit`; its venues are `bybit-spot` and `bybit-linear`."""

    source = "bybit"
    has_keys = True

    def heartbeat(self, settings: Settings) -> Heartbeat:
        """A JSON ping: the venue cuts after ten minutes with neither a ping nor data, and advises one every 20 s."""
        return Heartbeat(settings.venues.bybit.ping_interval_s, _PING)

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """Streams and REST."""
        return settings.venues.bybit.ws_url, settings.venues.bybit.rest_url

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Nothing to refuse."""

    def feeds(self, settings: Settings) -> tuple[FeedSpec, ...]:
        """One connection per category that has symbols.

        Each symbol is a request of its own: the venue refuses a request whole for one topic it does not know, and takes
        at most ten topics in one for spot.

        Raises:
            CryptolakeError: no symbols at all.
        """
        bybit = settings.venues.bybit
        categories = {"spot": bybit.spot_symbols, "linear": bybit.linear_symbols}
        if not any(categories.values()):
            raise CryptolakeError("venues.bybit names no symbols", "Name some in spot_symbols or linear_symbols.")
        return tuple(
            FeedSpec(
                f"{PREFIX}{category}",
                f"{bybit.ws_url.rstrip('/')}/v5/public/{category}",
                tuple(_subscription(symbol) for symbol in symbols),
                when_refused=_REFUSED,
            )
            for category, symbols in categories.items()
            if symbols
        )

    def envelope(self, frame: bytes, venue: str | None) -> Envelope:
        """Take symbol, first and last `seq` and the last time from a frame of trades."""
        content = read_object(frame)
        if content is None:
            return Envelope(venue or f"{PREFIX}spot", TRADE, "")
        if "topic" not in content and "op" in content:
            refused = f"{content.get('ret_msg')}" if content.get("success") is False else ""
            return Envelope(venue or f"{PREFIX}spot", CONTROL, "", complaint=refused[:200])
        topic, trades = content.get("topic"), content.get("data")
        key = topic if isinstance(topic, str) and len(topic) <= 100 else ""
        venue = venue or _venue_of(trades)
        symbol = key.removeprefix(_TOPIC)
        if not key.startswith(_TOPIC) or not trades or content.get("type") != "snapshot":
            return Envelope(venue, TRADE, key)
        if not isinstance(trades, list) or not all(_is_trade(trade, symbol) for trade in trades):
            return Envelope(venue, TRADE, key)
        numbers = [trade["seq"] for trade in trades]
        return Envelope(venue, TRADE, key, symbol, min(numbers), max(numbers), trades[-1]["T"] * 1000)

    def listing(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        """None: its names are those of conf/symbols.yml."""

    def refill(self, spool: Spool, settings: Settings, stop: threading.Event) -> Refill:
        """Pages of the newest trades, which narrow what a lost connection cost."""
        from bronze.recent_trades import RecentTrades  # it needs this package

        return RecentTrades(spool, settings, stop)


def _subscription(symbol: str) -> str:
    return json.dumps({"req_id": symbol, "op": "subscribe", "args": [f"{_TOPIC}{symbol}"]}, separators=(",", ":"))


def _venue_of(trades: Any) -> str:
    """The market of a frame on a tape, which its ids tell: UUIDs on linear, digits on spot."""
    first = trades[0] if isinstance(trades, list) and trades else None
    key = first.get("i") if isinstance(first, dict) else None
    return f"{PREFIX}linear" if isinstance(key, str) and "-" in key else f"{PREFIX}spot"


def _is_trade(trade: Any, symbol: str) -> bool:
    if not isinstance(trade, dict) or trade.get("s") != symbol or not is_name(symbol):
        return False
    key, time_ms = trade.get("i"), trade.get("T")
    keyed = isinstance(key, str) and _KEY.fullmatch(key) is not None
    timed = type(time_ms) is int and _FIRST_MS <= time_ms < _LAST_MS
    numbers = is_whole(trade.get("seq")) and is_price(trade.get("p")) and is_quantity(trade.get("v"))
    return keyed and timed and numbers and trade.get("S") in ("Buy", "Sell")
