"""Binance spot trades: combined streams, ids that rise by one per symbol (docs: web-socket-streams.md, rest-api.md)."""

from __future__ import annotations

import json
import re
from typing import Any

from bronze.venues.protocol import CONTROL, TRADE, Envelope, FeedSpec
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

MAX_STREAMS = 1024
# Above zero, and what silver's DECIMAL(24,12) and DECIMAL(24,8) hold.
_PRICE = r"(?=[0-9.]*[1-9])[0-9]{1,12}(?:\.[0-9]{1,12})?"
_QUANTITY = r"(?=[0-9.]*[1-9])[0-9]{1,16}(?:\.[0-9]{1,8})?"
_DECIMALS = {"p": re.compile(_PRICE), "q": re.compile(_QUANTITY)}
_OPENING = r'(?:\{"stream":"([a-z0-9]{1,40}@trade)","data":)?\{"e":"trade","E":[0-9]{1,18},"s":"([A-Z0-9]{1,40})"'
_FIELDS = rf',"t":([0-9]{{1,18}}),"p":"{_PRICE}","q":"{_QUANTITY}",(?:"b":[0-9]{{1,18}},"a":[0-9]{{1,18}},)?'
_ENDING = r'"T":(?:[0-9]{13}|[0-9]{16}),"m":(?:true|false),"M":(?:true|false)\}(\})?'
# The whole canonical frame: an id counts as held only when silver can read the trade it came with.
_CANONICAL = re.compile((_OPENING + _FIELDS + _ENDING).encode())


class Binance:
    """The venue `binance`."""

    source = "binance"
    has_ids = True

    def ping_interval_s(self, settings: Settings) -> float | None:
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

    def _unusual(self, frame: bytes) -> Envelope:
        try:
            outer = json.loads(frame, object_pairs_hook=_object, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return Envelope(self.source, TRADE, "")
        if not isinstance(outer, dict):
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _is_trade(data: dict[str, Any]) -> bool:
    whole = all(type(data.get(name)) is int and 0 <= data[name] < 2**63 for name in ("t", "T"))
    decimals = all(isinstance(data.get(name), str) and form.fullmatch(data[name]) for name, form in _DECIMALS.items())
    symbol = data.get("s")
    named = isinstance(symbol, str) and 0 < len(symbol) <= 40
    return data.get("e") == "trade" and whole and decimals and named and type(data.get("m")) is bool
