"""What the venues call their symbols, and what we call them: BASE-QUOTE in tickers."""

from __future__ import annotations

from collections.abc import Mapping
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
        coincap_assets: ticker by CoinCap slug.
    """

    binance_quotes: tuple[str, ...]
    coincap_assets: Mapping[str, str]

    def of_binance(self, name: str) -> Pair | None:
        """Split a name like BTCUSDT at the longest known quote; None when there is none."""
        for quote in self.binance_quotes:
            base = name.removesuffix(quote)
            if base and base != name:
                # Names are capitals and digits of any script: no separators, no marks, no small letters.
                return Pair(base, quote) if base.isalnum() and base == base.upper() else None
        return None

    def of_coincap(self, base_slug: str, quote_slug: str) -> Pair | None:
        """Translate a pair of slugs like bitcoin, tether; None when one is unknown."""
        base, quote = self.coincap_assets.get(base_slug), self.coincap_assets.get(quote_slug)
        return Pair(base, quote) if base and quote else None


@lru_cache(maxsize=1)
def load_symbols() -> Symbols:
    """Read conf/symbols.yml."""
    tables = yaml.safe_load((resources.files("conf") / "symbols.yml").read_text(encoding="utf-8"))
    quotes = sorted(map(str, tables["binance"]["quotes"]), key=lambda quote: (-len(quote), quote))
    assets = {str(slug): str(ticker) for slug, ticker in tables["coincap"]["assets"].items()}
    return Symbols(tuple(quotes), assets)
