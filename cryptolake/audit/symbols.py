"""What a venue's symbol stands for, from the tables of conf/symbols.yml and from silver.symbols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml


@lru_cache(maxsize=4096)
def of_binance(name: str) -> tuple[str, str] | None:
    """Split a name such as BTCUSDT into base and the longest quote asset it ends with; None when there is none."""
    return _split(name, {quote: quote for quote in _tables()["binance"]["quotes"]})


@lru_cache(maxsize=4096)
def of_bybit(venue: str, name: str) -> tuple[str, str] | None:
    """Split a name such as BTCUSDT, or BTCPERP of linear, whose quote the tables tell; None when there is none."""
    tables = _tables()["bybit"]
    endings = {quote: quote for quote in tables["quotes"]}
    if venue == "bybit-linear":
        endings = {e: quote for e, quote in endings.items() if e not in tables["suffixes"].values()}
        endings |= tables["suffixes"]
    return _split(name, endings)


@lru_cache(maxsize=4096)
def of_coincap(base: str, quote: str) -> tuple[str, str] | None:
    """Translate two asset slugs; None when one is unknown, or comes second with its ticker."""
    assets = _own_tickers("coincap", "assets")
    return (assets[base], assets[quote]) if base in assets and quote in assets else None


def in_dollars(service: str, name: str) -> tuple[str, str] | None:
    """Translate what a price service (coincap, coingecko) calls an asset, with the same exceptions."""
    assets = _own_tickers(service, "assets" if service == "coincap" else "ids")
    return (assets[name], "USD") if name in assets else None


def base_and_quote(venue: str, venue_symbol: str) -> tuple[str, str] | None:
    """Give the tickers of a symbol as silver names it: BTCUSDT, bitcoin-tether at CoinCap, bitcoin in dollars."""
    if venue in ("coincap", "coingecko"):
        return in_dollars(venue, venue_symbol)
    if venue.startswith("bybit-"):
        return of_bybit(venue, venue_symbol)
    if not venue.startswith("coincap-"):
        return of_binance(venue_symbol)
    parts = venue_symbol.split("-")
    splits = (("-".join(parts[:i]), "-".join(parts[i:])) for i in range(1, len(parts)))
    return next((pair for base, quote in splits if (pair := of_coincap(base, quote))), None)


def _split(name: str, quotes: Mapping[str, str]) -> tuple[str, str] | None:
    fitting = [ending for ending in quotes if name.endswith(ending) and name != ending]
    if not fitting:
        return None
    ending = max(fitting, key=len)
    base = name[: -len(ending)]
    return (base, str(quotes[ending])) if is_name(base) else None


def is_name(text: str) -> bool:
    """Whether a text can be a ticker: letters and digits, none of them small."""
    return text.isalnum() and text.upper() == text


class Names:
    """What the venues' symbols may stand for: by conf/symbols.yml, and by whatever silver.symbols has ever said.

    Args:
        told: (venue, venue_symbol, base, quote) of silver.symbols.
    """

    def __init__(self, told: Iterable[tuple[str, str, str, str]] = ()) -> None:
        self._told: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for venue, venue_symbol, base, quote in told:
            self._told.setdefault((venue, venue_symbol), set()).add((base, quote))

    def known(self, venue: str, venue_symbol: str) -> bool:
        """Whether a symbol stands for anything."""
        return (venue, venue_symbol) in self._told or base_and_quote(venue, venue_symbol) is not None

    def pairs(self, venue: str, venue_symbol: str) -> set[tuple[str, str]]:
        """All that a symbol stands for, or has stood for; rows keep the name they were given."""
        pair = base_and_quote(venue, venue_symbol)
        return self._told.get((venue, venue_symbol), set()) | ({pair} if pair else set())


@lru_cache(maxsize=2)
def _own_tickers(service: str, section: str) -> Mapping[str, str]:
    """Tickers by name, without the names that come after another of the same ticker."""
    found: dict[str, str] = {}
    for name, ticker in _tables()[service][section].items():
        if str(ticker) not in found.values():
            found[str(name)] = str(ticker)
    return found


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, Any]:
    tables: Mapping[str, Any] = yaml.safe_load((resources.files("conf") / "symbols.yml").read_text(encoding="utf-8"))
    return tables
