"""Binance spot trades: combined streams, ids that rise by one per symbol (docs: web-socket-streams.md, rest-api.md)."""

from __future__ import annotations

import re
import threading
from typing import Any

from bronze.spool import Spool
from bronze.venues.protocol import CONTROL, TRADE, Beside, Envelope, FeedSpec, Heartbeat, Refill
from bronze.venues.readable import PRICE, QUANTITY, is_name, is_price, is_quantity, is_whole, read_object
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

MAX_STREAMS = 1024
_OPENING = r'(?:\{"stream":"([a-z0-9]{1,40}@trade)","data":)?\{"e":"trade","E":[0-9]{1,18},"s":"([A-Z0-9]{1,40})"'
_FIELDS = rf',"t":([0-9]{{1,18}}),"p":"{PRICE}","q":"{QUANTITY}",(?:"b":[0-9]{{1,18}},"a":[0-9]{{1,18}},)?'
_ENDING = r'"T":(?:[0-9]{13}|[0-9]{16}),"m":(?:true|false),"M":(?:true|false)\}(\})?'
# The whole canonical frame: an id counts as held only when silver can read the trade it came with.
_CANONICAL = re.compile((_OPENING + _FIELDS + _ENDING).encode())


class Binance:
    """The venue `binance`."""

    source = "binance"
    has_keys = True

    def heartbeat(self, settings: Settings) -> Heartbeat | None:
        """None: the server pings every 20 s, and counts our own pings as messages."""
        return None

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """Streams and REST."""
        return settings.venues.binance.ws_url, settings.venues.binance.rest_url

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Nothing to refuse."""

    def feeds(self, settings: Settings) -> tuple[FeedSpec, ...]:
        """One connection with the trade streams of all symbols.

        Raises:
            CryptolakeError: no symbols, or more than a connection takes.
        """
        binance = settings.venues.binance
        if not 0 < len(binance.symbols) <= MAX_STREAMS:
            raise CryptolakeError(
                f"venues.binance.symbols names {len(binance.symbols)} symbols", f"Name 1 to {MAX_STREAMS} of them."
            )
        streams = "/".join(f"{symbol.lower()}@trade" for symbol in binance.symbols)
        return (FeedSpec(self.source, f"{binance.ws_url.rstrip('/')}/stream?streams={streams}"),)

    def envelope(self, frame: bytes, venue: str | None) -> Envelope:
        """Take stream, symbol and id from a trade frame, raw or combined."""
        found = _CANONICAL.fullmatch(frame)
        if found is not None and (found[1] is None) == (found[4] is None):
            symbol, trade_id = found[2].decode(), int(found[3])
            key = found[1].decode() if found[1] else f"{symbol.lower()}@trade"
            return Envelope(self.source, TRADE, key, symbol, trade_id, trade_id)
        return self._unusual(frame)

    def refill(self, spool: Spool, settings: Settings, stop: threading.Event) -> Refill:
        """Missing ids, fetched by REST."""
        from bronze.fill import Fill  # it needs this package

        return Fill(spool, settings, stop)

    def listing(self, spool: Spool, settings: Settings, stop: threading.Event) -> Beside:
        """What the symbols stand for, by exchangeInfo."""
        from bronze.listing import Listing  # it needs this package

        return Listing(spool, settings, stop)

    def _unusual(self, frame: bytes) -> Envelope:
        outer = read_object(frame)
        if outer is None:
            return Envelope(self.source, TRADE, "")
        stream = outer.get("stream")
        key = stream if isinstance(stream, str) else ""
        data = outer.get("data") if key else outer
        if not isinstance(data, dict):
            return Envelope(self.source, TRADE, key)
        if data.get("e") == "serverShutdown":
            return Envelope(self.source, CONTROL, key, rotate=True)
        if "e" not in data and data.keys() & {"result", "code", "error"}:
            return Envelope(self.source, CONTROL, key)
        if not _is_trade(data):
            return Envelope(self.source, TRADE, key)
        symbol = data["s"]
        return Envelope(self.source, TRADE, key or f"{symbol.lower()}@trade", symbol, data["t"], data["t"])


def _is_trade(data: dict[str, Any]) -> bool:
    whole = is_whole(data.get("t")) and is_whole(data.get("T"))
    decimals = is_price(data.get("p")) and is_quantity(data.get("q"))
    flagged = type(data.get("m")) is bool
    return data.get("e") == "trade" and whole and decimals and is_name(data.get("s")) and flagged
