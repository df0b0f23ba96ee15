"""What the venues call their symbols, and what we call them: BASE-QUOTE in tickers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

import yaml


@dataclass(frozen=True)
class Pair:
    """Base and quote asset, as tickers."""

    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """The canonical name."""
        return f"{self.base}-{self.quote}"


@dataclass(frozen=True)
class Symbols:
    """The naming tables: what the venues have said of their symbols, else conf/symbols.yml.

    Args:
        binance_quotes: quote assets of Binance, longest first.
        bybit_quotes: quote assets of Bybit, spot and linear, longest first.
        bybit_suffixes: quote asset by the ending of a name that does not show it.
        coincap_assets: ticker by CoinCap slug.
        coingecko_ids: ticker by CoinGecko id.
        listed: pair by venue and its symbol, as the venue itself lists it.
    """

    binance_quotes: tuple[str, ...]
    bybit_quotes: tuple[str, ...]
    bybit_suffixes: Mapping[str, str]
    coincap_assets: Mapping[str, str]
    coingecko_ids: Mapping[str, str]
    listed: Mapping[tuple[str, str], Pair] = field(default_factory=dict)

    @property
    def contradicted(self) -> tuple[str, ...]:
        """Names of Binance that the venue lists otherwise than they would be split."""
        listed = ((name, pair) for (venue, name), pair in self.listed.items() if venue == "binance")
        return tuple(sorted(name for name, pair in listed if self.by_text(name) not in (None, pair)))

    def of_binance(self, name: str) -> Pair | None:
        """The pair as Binance lists it, else the name split at the longest known quote; None when there is none."""
        return self.listed.get(("binance", name)) or self.by_text(name)

    def of_bybit(self, name: str) -> Pair | None:
        """Split a name like BTCUSDT, or BTCPERP (settled in USDC); None for a dated contract like BTC-25DEC26."""
        return _split(name, {**self.bybit_suffixes, **{quote: quote for quote in self.bybit_quotes}}.items())

    def by_text(self, name: str) -> Pair | None:
        """Split a name of Binance at the longest known quote, whatever the venue lists."""
        return _split(name, zip(self.binance_quotes, self.binance_quotes, strict=True))

    def of_coincap(self, base_slug: str, quote_slug: str) -> Pair | None:
        """Translate a pair of slugs like bitcoin, tether; None when one is unknown."""
        base, quote = self.coincap_assets.get(base_slug), self.coincap_assets.get(quote_slug)
        return Pair(base, quote) if base and quote else None

    def of_coincap_asset(self, slug: str) -> Pair | None:
        """Name the market of an asset that CoinCap prices in dollars; None when the slug is unknown."""
        return _in_dollars(self.coincap_assets.get(slug))

    def of_coingecko(self, coin_id: str) -> Pair | None:
        """Name the market of a coin that CoinGecko prices in dollars; None when the id is unknown."""
        return _in_dollars(self.coingecko_ids.get(coin_id))


def is_name(text: str) -> bool:
    """Say whether a text may name an asset: capitals and digits of any script; no separators, marks, small letters."""
    return text.isalnum() and text == text.upper()


def _in_dollars(ticker: str | None) -> Pair | None:
    return None if ticker is None else Pair(ticker, "USD")


def _split(name: str, quotes: Iterable[tuple[str, str]]) -> Pair | None:
    """Split a name at the first ending that fits, longest first; each comes with the quote that it stands for."""
    for ending, quote in quotes:
        base = name.removesuffix(ending)
        if base and base != name:
            return Pair(base, quote) if is_name(base) else None
    return None


@lru_cache(maxsize=1)
def load_symbols() -> Symbols:
    """Read conf/symbols.yml."""
    tables = yaml.safe_load((resources.files("conf") / "symbols.yml").read_text(encoding="utf-8"))
    bybit = tables["bybit"]
    assets = {str(slug): str(ticker) for slug, ticker in tables["coincap"]["assets"].items()}
    suffixes = {str(suffix): str(quote) for suffix, quote in bybit["suffixes"].items()}
    ids = {str(coin_id): str(ticker) for coin_id, ticker in tables["coingecko"]["ids"].items()}
    return Symbols(_longest_first(tables["binance"]["quotes"]), _longest_first(bybit["quotes"]), suffixes, assets, ids)


def _longest_first(quotes: Iterable[object]) -> tuple[str, ...]:
    return tuple(sorted(map(str, quotes), key=lambda quote: (-len(quote), quote)))
