"""The processes of a home, and what a newcomer sees of them."""

from __future__ import annotations

from lakehouse.settings.section import Section


class SupervisorSettings(Section):
    """The processes of a home: how they are started again, and how long they may take to end."""

    restart_backoff_s: float
    restart_backoff_max_s: float
    stable_after_s: float
    stop_timeout_s: float
    collector_stop_s: float
    lake_stop_s: float
    broker_stop_s: float
    status_timeout_s: float
    log_bytes: int


class DemoSettings(Section):
    """The one command for a newcomer, and how often a simulated market is polled."""

    rate_per_s: float
    start_back_s: float
    speed: float
    backfill_days: int
    candle_share: float
    tickers_every_s: float
    prices_every_s: float
    market_caps_every_s: float
    refresh_s: float
    read_every_s: float
    plain_every_s: float
