"""What the venues call their symbols, and what we call them: BASE-QUOTE in tickers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any, TypeAlias

import yaml

Endings: TypeAlias = tuple[tuple[str, str], ...]  # of names, each with the quote that it stands for
UNKNOWN = "unknown_symbol"
AMBIGUOUS = "ambiguous_symbol"
_PERPETUALS = "bybit-linear"  # the market whose names may end otherwise than with their quote


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
        bybit_suffixes: quote asset by the ending of a name of linear that does not show it.
        coincap_assets: ticker by CoinCap slug; no two have one.
        coingecko_ids: ticker by CoinGecko id; no two have one.
        ambiguous: source and its name of an asset, of those whose ticker another name has.
        listed: pair by venue and its symbol, as the venue itself lists it.
    """

    binance_quotes: tuple[str, ...]
    bybit_quotes: tuple[str, ...]
    bybit_suffixes: Mapping[str, str]
    coincap_assets: Mapping[str, str]
    coingecko_ids: Mapping[str, str]
    ambiguous: frozenset[tuple[str, str]] = frozenset()
    listed: Mapping[tuple[str, str], Pair] = field(default_factory=dict)

    @cached_property
    def _binance_endings(self) -> Endings:
        return tuple((quote, quote) for quote in self.binance_quotes)

    @cached_property
    def _bybit_endings(self) -> Endings:
        return tuple((quote, quote) for quote in self.bybit_quotes)

    @cached_property
    def _perpetual_endings(self) -> Endings:
        stood_for = self.bybit_suffixes.values()
        quotes = {quote: quote for quote in self.bybit_quotes if quote not in stood_for}
        return tuple({**self.bybit_suffixes, **quotes}.items())

    @property
    def contradicted(self) -> tuple[str, ...]:
        """Names of Binance that the venue lists otherwise than they would be split."""
        listed = ((name, pair) for (venue, name), pair in self.listed.items() if venue == "binance")
        return tuple(sorted(name for name, pair in listed if self.by_text(name) not in (None, pair)))

    def of_binance(self, name: str) -> Pair | None:
        """The pair as Binance lists it, else the name split at the longest known quote; None when there is none."""
        return self.listed.get(("binance", name)) or self.by_text(name)

    def of_bybit(self, venue: str, name: str) -> Pair | None:
        """Split a name like BTCUSDT, or of linear BTCPERP (settled in USDC); None for a dated contract (BTC-25DEC26).

        Where an ending stands for a quote, no name ends with that quote itself: the two would be one symbol.
        """
        return _split(name, self._perpetual_endings if venue == _PERPETUALS else self._bybit_endings)

    def by_text(self, name: str) -> Pair | None:
        """Split a name of Binance at the longest known quote, whatever the venue lists."""
        return _split(name, self._binance_endings)

    def of_coincap(self, base_slug: str, quote_slug: str) -> Pair | None:
        """Translate a pair of slugs like bitcoin, tether; None when one is unknown, or its ticker another's."""
        base, quote = self.coincap_assets.get(base_slug), self.coincap_assets.get(quote_slug)
        return Pair(base, quote) if base and quote else None

    def of_coincap_asset(self, slug: str) -> Pair | None:
        """Name the market of an asset that CoinCap prices in dollars; None when unknown, or its ticker another's."""
        return _in_dollars(self.coincap_assets.get(slug))

    def of_coingecko(self, coin_id: str) -> Pair | None:
        """Name the market of a coin that CoinGecko prices in dollars; None when unknown, or its ticker another's."""
        return _in_dollars(self.coingecko_ids.get(coin_id))

    def refusal(self, source: str, *names: str) -> str:
        """Why names of assets, of which not all can be translated, cannot: the reason that quarantine gives."""
        return AMBIGUOUS if any((source, name) in self.ambiguous for name in names) else UNKNOWN


def is_name(text: str) -> bool:
    """Say whether a text may name an asset: capitals and digits of any script; no separators, marks, small letters."""
    return text.isalnum() and text == text.upper()


def _in_dollars(ticker: str | None) -> Pair | None:
    return None if ticker is None else Pair(ticker, "USD")


@lru_cache(maxsize=20_000)  # a batch asks anew for each of its names
def _split(name: str, quotes: Endings) -> Pair | None:
    """Split a name at the first ending that fits, longest first; each comes with the quote that it stands for."""
    for ending, quote in quotes:
        base = name.removesuffix(ending)
        if base and base != name:
            return Pair(base, quote) if is_name(base) else None
    return None


def symbols_of(tables: Mapping[str, Any]) -> Symbols:
    """Make the naming tables of those of conf/symbols.yml.

    A ticker is of the first name that has it. Rows of a second one would be of another coin, or of the same one under
    an older name, whose trades would be counted twice: nobody here can tell, so they are quarantined.
    """
    bybit = tables["bybit"]
    suffixes = {str(suffix): str(quote) for suffix, quote in bybit["suffixes"].items()}
    assets, further_assets = _first_names(tables["coincap"]["assets"])
    ids, further_ids = _first_names(tables["coingecko"]["ids"])
    ambiguous = {("coincap", slug) for slug in further_assets} | {("coingecko", coin_id) for coin_id in further_ids}
    return Symbols(
        _longest_first(tables["binance"]["quotes"]),
        _longest_first(bybit["quotes"]),
        suffixes,
        assets,
        ids,
        frozenset(ambiguous),
    )


@lru_cache(maxsize=1)
def load_symbols() -> Symbols:
    """Read conf/symbols.yml."""
    return symbols_of(symbol_tables())


def symbol_tables() -> dict[str, Any]:
    """The tables of conf/symbols.yml, as they stand there."""
    tables: dict[str, Any] = yaml.safe_load((resources.files("conf") / "symbols.yml").read_text(encoding="utf-8"))
    return tables


def _first_names(tickers: Mapping[object, object]) -> tuple[dict[str, str], list[str]]:
    """The names that have their ticker to themselves or were first to have it, and the further names of a ticker."""
    firsts: dict[str, str] = {}
    for name, ticker in tickers.items():
        firsts.setdefault(str(ticker), str(name))
    further = [str(name) for name, ticker in tickers.items() if firsts[str(ticker)] != str(name)]
    return {name: ticker for ticker, name in firsts.items()}, further


def _longest_first(quotes: Iterable[object]) -> tuple[str, ...]:
    return tuple(sorted(map(str, quotes), key=lambda quote: (-len(quote), quote)))
