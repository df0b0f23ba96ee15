"""Where the venues are, and what of them is collected."""

from __future__ import annotations

from pydantic import Field, SecretStr

from lakehouse.settings.section import Section


class BinanceSettings(Section):
    """Binance spot.

    Args:
        ws_url: of the streams, without a path.
        rest_url: of the REST API, without a path.
        symbols: as in payloads, e.g. BTCUSDT.
        rest_weight_per_minute: what we use at most of the venue's 6000.
        listing_interval_s: time between two questions what the symbols stand for.
    """

    ws_url: str
    rest_url: str
    symbols: tuple[str, ...]
    rest_weight_per_minute: int
    listing_interval_s: float


class BybitSettings(Section):
    """Bybit v5 public trades, one connection per category.

    Args:
        ws_url: of the streams, without a path.
        rest_url: of the REST API, without a path.
        spot_symbols: as in payloads, e.g. BTCUSDT; empty for no connection.
        linear_symbols: the same of the linear contracts.
        ping_interval_s: time between our JSON pings.
        rest_calls_per_minute: what we use at most of the venue's 600 in 5 s.
        recent_trade_attempts: how often the newest trades are asked for after a lost connection, before all of it is a
            gap: what they hold moves on meanwhile.
    """

    ws_url: str
    rest_url: str
    spot_symbols: tuple[str, ...]
    linear_symbols: tuple[str, ...]
    ping_interval_s: float
    rest_calls_per_minute: int
    recent_trade_attempts: int


class CoinCapSettings(Section):
    """CoinCap: v2 trades, one connection per exchange, and v3 prices, which take a key.

    Args:
        ws_url: without a path; the real one is silent since 2025-03-31.
        exchanges: whose trades.
        ping_interval_s: time between our pings.
        price_ws_url: of the v3 prices, without a path.
        price_assets: slugs of the assets whose prices are wanted; ALL stands for all there are.
        api_key: of the v3 API; from the environment only.
    """

    ws_url: str
    exchanges: tuple[str, ...]
    ping_interval_s: float
    price_ws_url: str
    price_assets: tuple[str, ...]
    api_key: SecretStr | None


class TickerSettings(Section):
    """Binance's 24 h tickers, polled from the REST API of section binance.

    Args:
        quote: of the pairs that are ranked.
        top: how many pairs, the greatest by quote volume.
        interval_s: time between two polls.
        ranking_interval_s: time between two looks at all pairs, to find the greatest.
    """

    quote: str
    top: int = Field(ge=1, le=1000)
    interval_s: float = Field(gt=0)
    ranking_interval_s: float = Field(gt=0)


class CoinGeckoSettings(Section):
    """CoinGecko's prices, polled.

    Args:
        url: of the API, without a path.
        ids: of the coins.
        interval_s: time between two polls of `simple/price`.
        markets_interval_s: time between two polls of `coins/markets`, which has the market cap.
        calls_per_minute: what we use at most.
        api_key: a demo key, which goes into a header; from the environment only.
    """

    url: str
    ids: tuple[str, ...]
    interval_s: float = Field(gt=0)
    markets_interval_s: float = Field(gt=0)
    calls_per_minute: int = Field(gt=0)
    api_key: SecretStr | None


class VenueSettings(Section):
    """Where the venues are, and what of them is collected; loopback URLs make a home a simulated one."""

    binance: BinanceSettings
    bybit: BybitSettings
    coincap: CoinCapSettings
    tickers: TickerSettings
    coingecko: CoinGeckoSettings
