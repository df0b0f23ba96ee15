"""Where the venues are, and what of them is collected."""

from __future__ import annotations

from lakehouse.settings.section import Section


class BinanceSettings(Section):
    """Binance spot.

    Args:
        ws_url: of the streams, without a path.
        rest_url: of the REST API, without a path.
        symbols: as in payloads, e.g. BTCUSDT.
        rest_weight_per_minute: what we use at most of the venue's 6000.
    """

    ws_url: str
    rest_url: str
    symbols: tuple[str, ...]
    rest_weight_per_minute: int


class CoinCapSettings(Section):
    """CoinCap v2 trades, one connection per exchange.

    Args:
        ws_url: without a path; the real one is silent since 2025-03-31.
        exchanges: whose trades.
        ping_interval_s: time between our pings.
    """

    ws_url: str
    exchanges: tuple[str, ...]
    ping_interval_s: float


class VenueSettings(Section):
    """Where the venues are, and what of them is collected; loopback URLs make a home a simulated one."""

    binance: BinanceSettings
    coincap: CoinCapSettings
