"""What the venues call their symbols, and what we call them: BASE-QUOTE in tickers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """The naming tables of conf/symbols.yml.

    Args:
        binance_quotes: quote assets of Binance, longest first.
        bybit_quotes: quote assets of Bybit, spot and linear, longest first.
        bybit_suffixes: quote asset by the ending of a name that does not show it.
        coincap_assets: ticker by CoinCap slug.
        coingecko_ids: ticker by CoinGecko id.
    """

    binance_quotes: tuple[str, ...]
    bybit_quotes: tuple[str, ...]
    bybit_suffixes: Mapping[str, str]
    coincap_assets: Mapping[str, str]
    coingecko_ids: Mapping[str, str]

    def of_binance(self, name: str) -> Pair | None:
        """Split a name like BTCUSDT at the longest known quote; None when there is none."""
        return _split(name, zip(self.binance_quotes, self.binance_quotes, strict=True))

    def of_bybit(self, name: str) -> Pair | None:
        """Split a name like BTCUSDT, or BTCPERP (settled in USDC); None for a dated contract like BTC-25DEC26."""
        return _split(name, {**self.bybit_suffixes, **{quote: quote for quote in self.bybit_quotes}}.items())

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


def _in_dollars(ticker: str | None) -> Pair | None:
    return None if ticker is None else Pair(ticker, "USD")


def _split(name: str, quotes: Iterable[tuple[str, str]]) -> Pair | None:
    """Split a name at the first ending that fits, longest first; each comes with the quote that it stands for."""
    for ending, quote in quotes:
        base = name.removesuffix(ending)
        if base and base != name:
            # Names are capitals and digits of any script: no separators, no marks, no small letters.
            return Pair(base, quote) if base.isalnum() and base == base.upper() else None
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
