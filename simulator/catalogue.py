"""The symbols of the simulated market, in order of how much they trade."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    """One market: what it is called, on what grid it trades, and how it moves.

    Args:
        base: asset bought and sold, as Binance writes it.
        quote: asset it is priced in; a quote other than USDT makes it a cross of two USDT markets.
        base_slug: the base as CoinCap v2 writes it.
        start_price: level the price wanders about, in the quote asset; None for a cross: its price is that of its legs.
        price_decimals: the tick is 10 ** -price_decimals.
        quantity_decimals: the lot is 10 ** -quantity_decimals; with price_decimals at most 8, so that every
            amount (price x quantity) is exact in the eight decimals Binance writes.
        daily_volatility: standard deviation of a day's log return.
        half_spread_bp: distance of best bid and best ask from the middle, in basis points.
        median_notional: median size of a trade, in USDT.
    """

    base: str
    quote: str
    base_slug: str
    start_price: float | None
    price_decimals: int
    quantity_decimals: int
    daily_volatility: float
    half_spread_bp: float
    median_notional: float

    def __post_init__(self) -> None:
        if self.price_decimals + self.quantity_decimals > 8:
            raise ValueError(f"{self.name}: an amount would need more than eight decimals")

    @property
    def name(self) -> str:
        """The name in Binance payloads, e.g. BTCUSDT."""
        return self.base + self.quote

    @property
    def in_usdt(self) -> Symbol:
        """The market of its base in USDT: itself unless it is a cross."""
        return BY_NAME[self.base + "USDT"]

    @property
    def stream(self) -> str:
        """The name of its trade stream, e.g. btcusdt@trade."""
        return f"{self.name.lower()}@trade"


# The place in this tuple is the rank for the Zipf law and the number in the store: append only.
CATALOGUE = (
    Symbol("BTC", "USDT", "bitcoin", 64_000.0, 2, 5, 0.022, 0.8, 400.0),
    Symbol("ETH", "USDT", "ethereum", 3_100.0, 2, 4, 0.028, 0.9, 300.0),
    Symbol("SOL", "USDT", "solana", 150.0, 2, 3, 0.038, 1.2, 200.0),
    Symbol("XRP", "USDT", "xrp", 0.6, 4, 1, 0.034, 1.5, 150.0),
    Symbol("BNB", "USDT", "binance-coin", 580.0, 2, 3, 0.022, 1.0, 180.0),
    Symbol("DOGE", "USDT", "dogecoin", 0.12, 5, 0, 0.042, 1.4, 120.0),
    Symbol("ADA", "USDT", "cardano", 0.45, 4, 1, 0.036, 1.8, 110.0),
    Symbol("ETH", "BTC", "ethereum", None, 5, 3, 0.020, 1.4, 250.0),
    Symbol("AVAX", "USDT", "avalanche", 28.0, 2, 2, 0.040, 2.0, 100.0),
    Symbol("LINK", "USDT", "chainlink", 14.2, 3, 2, 0.036, 1.8, 100.0),
    Symbol("LTC", "USDT", "litecoin", 72.0, 2, 3, 0.030, 1.6, 110.0),
    Symbol("TRX", "USDT", "tron", 0.13, 5, 1, 0.018, 1.5, 130.0),
    Symbol("DOT", "USDT", "polkadot", 6.2, 3, 2, 0.036, 2.2, 90.0),
    Symbol("BCH", "USDT", "bitcoin-cash", 380.0, 1, 3, 0.034, 2.0, 110.0),
    Symbol("SHIB", "USDT", "shiba-inu", 0.0000175, 8, 0, 0.044, 2.5, 80.0),
    Symbol("UNI", "USDT", "uniswap", 8.1, 3, 2, 0.040, 2.4, 80.0),
    Symbol("BNB", "BTC", "binance-coin", None, 6, 2, 0.020, 2.0, 120.0),
    Symbol("NEAR", "USDT", "near-protocol", 5.1, 3, 1, 0.044, 2.5, 70.0),
    Symbol("APT", "USDT", "aptos", 8.4, 3, 2, 0.042, 2.6, 70.0),
    Symbol("SOL", "BTC", "solana", None, 6, 2, 0.030, 2.6, 90.0),
    Symbol("ATOM", "USDT", "cosmos", 5.6, 3, 2, 0.038, 2.6, 60.0),
    Symbol("FIL", "USDT", "filecoin", 4.2, 3, 2, 0.042, 2.8, 60.0),
    Symbol("ETC", "USDT", "ethereum-classic", 22.0, 2, 2, 0.038, 3.0, 60.0),
    Symbol("ARB", "USDT", "arbitrum", 0.72, 4, 1, 0.046, 3.0, 60.0),
)

BY_NAME = {symbol.name: symbol for symbol in CATALOGUE}
RANK = {symbol.name: rank for rank, symbol in enumerate(CATALOGUE)}

_FIRST_ID = 3_000_000_000  # above 32 bits, as the real ones of the busiest symbol are


def first_id(symbol: Symbol) -> int:
    """Give the id of a symbol's first trade after the epoch; busier symbols have had more before it."""
    return _FIRST_ID // (RANK[symbol.name] + 1)
