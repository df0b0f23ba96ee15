"""The simulated market."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from lakehouse.settings.section import Section


class SimulatorMarketSettings(Section):
    """How the simulated market moves; the symbols' own figures stand in simulator/catalogue.py.

    Args:
        epoch_utc: midnight of the first trade there ever was.
        past_trades_per_minute: mean trades a minute and symbol before a symbol goes live.
        level_half_life_days: half-life of the pull of each midnight's price back to the start price.
        volatility_of_volatility: standard deviation of the log volatility; 0 makes calm and wild hours alike.
        volatility_half_life_min: half-life of a burst of volatility, in minutes.
        volatility_common_share: share of the log volatility's variance that all symbols have in common.
        factor_loading: correlation of each symbol's returns with the common factor (two symbols: its square).
        taker_side_autocorrelation: lag-1 autocorrelation of the taker's side (+1 buy, -1 sell).
        activity_elasticity: power of volatility with which trades crowd into a minute of the past.
        activity_noise: standard deviation of the log of a minute's share of trades beyond volatility.
        depth_noise: mean of the exponential part by which a trade walks beyond the best quote, in half spreads.
        size_log_deviation: standard deviation of the log of a trade's size.
        zipf_exponent: a symbol's live rate is proportional to rank ** -this.
        venue_basis_bp: standard deviation of a CoinCap exchange's constant price offset from Binance, basis points.
    """

    epoch_utc: date
    past_trades_per_minute: int
    level_half_life_days: float
    volatility_of_volatility: float
    volatility_half_life_min: float
    volatility_common_share: float
    factor_loading: float
    taker_side_autocorrelation: float
    activity_elasticity: float
    activity_noise: float
    depth_noise: float
    size_log_deviation: float
    zipf_exponent: float
    venue_basis_bp: float


class SimulatorLimitSettings(Section):
    """What the simulated venue allows a client.

    Args:
        weight_per_minute: REST weight an address may use in a clock minute; more is answered 429.
        refusals_before_ban: 429 answers within a minute after which the address is banned with 418.
        ban_s: length of the ban.
        history_horizon_trades: newest trades that historicalTrades reaches; older ids answer from the first of
            these, without an error; 0 reaches all.
        ping_interval_s: time between the server's ping frames.
        pong_timeout_s: a connection without a pong for this long is closed.
        connection_lifetime_s: age at which a connection is closed (24 h).
        shutdown_notice_s: a `serverShutdown` frame goes out this long before that.
        streams_per_connection: most streams on one connection.
        messages_per_s: messages a client may send in a second; more ends its connection.
        buffered_bytes: unsent bytes of a slow connection at which it is aborted.
        coingecko_calls_per_minute: calls to CoinGecko an address may make in a clock minute; more is answered 429.
        bybit_silence_s: a Bybit connection that neither says nor gets anything for this long is closed.
        bybit_calls_per_5_s: Bybit REST calls of an address in five seconds; more are answered 403.
        bybit_ban_s: for how long.
    """

    weight_per_minute: int
    refusals_before_ban: int
    ban_s: float
    history_horizon_trades: int
    ping_interval_s: float
    pong_timeout_s: float
    connection_lifetime_s: float
    shutdown_notice_s: float
    streams_per_connection: int
    messages_per_s: int
    buffered_bytes: int
    coingecko_calls_per_minute: int
    bybit_silence_s: float
    bybit_calls_per_5_s: int
    bybit_ban_s: float


class SimulatorFaultSettings(Section):
    """Faults the simulated venue commits; shares are probabilities per trade, 0 switches a fault off.

    Args:
        cut_every_s: mean time between two cuts of all connections (drawn evenly from half to one and a half of it).
        cut_kind: fin ends the stream properly, abort resets it, random draws one.
        stall_every_s: mean time between two stalls: open connections get no data, pings are answered.
        stall_s: length of a stall.
        duplicate_share: trades sent twice (not CoinCap's: without ids a copy could not be told from a trade).
        reorder_share: trades sent after the next one of their symbol.
        drop_share: trades never sent, but in the ledger and in REST (Binance only: elsewhere it could not be seen).
        malformed_share: extra frames that are no trade, per trade.
    """

    cut_every_s: float = Field(ge=0)
    cut_kind: Literal["fin", "abort", "random"]
    stall_every_s: float = Field(ge=0)
    stall_s: float = Field(ge=0)
    duplicate_share: float = Field(ge=0, le=1)
    reorder_share: float = Field(ge=0, le=1)
    drop_share: float = Field(ge=0, le=1)
    malformed_share: float = Field(ge=0, le=1)


class SimulatorSettings(Section):
    """The market simulator.

    Args:
        seed: the whole past follows from it.
        symbols: how many of the catalogue's symbols are listed.
        rate_per_s: Binance trades a real second over all live symbols.
        coincap_rate_per_s: trades a real second of each CoinCap exchange that has been connected to.
        bybit_rate_per_s: trades a real second of each Bybit category that has been subscribed to.
        coincap_exchanges: exchanges with a CoinCap v2 trade stream.
        coincap_price_usd_missing_share: CoinCap frames without `priceUsd`.
        coincap_api_key: what CoinCap's v3 prices take; any other is `Unauthorized`.
        coincap_prices_every_s: time between two messages of prices.
        coincap_prices_share: of the assets asked for that a message holds; at least one.
        coingecko_cache_s: how long CoinGecko says the same of a coin, in market time.
        start_back_s: the clock starts this long before the real time.
        speed: simulated seconds a real second, until the clock has caught up with the real time.
        port: of HTTP and websockets on loopback; 0 takes a free one.
        tick_ms: trades are made, written to the ledger and sent in groups of this length.
        state_interval_s: time between two writes of state.json.
        market: how prices and sizes move.
        limits: what a client may do.
        faults: faults from the start; `POST /control/faults` changes them.
    """

    seed: int
    symbols: int = Field(ge=1)
    rate_per_s: float = Field(ge=0)
    coincap_rate_per_s: float = Field(ge=0)
    bybit_rate_per_s: float = Field(ge=0)
    coincap_exchanges: tuple[str, ...]
    coincap_price_usd_missing_share: float
    coincap_api_key: str
    coincap_prices_every_s: float = Field(gt=0)
    coincap_prices_share: float = Field(gt=0, le=1)
    coingecko_cache_s: int = Field(gt=0)
    start_back_s: float = Field(ge=0)
    speed: float = Field(gt=0)
    port: int = Field(ge=0, le=65535)
    tick_ms: int = Field(gt=0)
    state_interval_s: float
    market: SimulatorMarketSettings
    limits: SimulatorLimitSettings
    faults: SimulatorFaultSettings
