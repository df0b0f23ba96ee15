"""One frozen tree of settings: conf/base.yml, then conf/<target>.yml, then the environment, then flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from lakehouse.errors import SettingsError

ENV_PREFIX = "CRYPTOLAKE__"


class Section(BaseModel):
    """A part of the tree: frozen, and unknown keys fail."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SchemaNames(Section):
    """What the schemas are called on Databricks; locally they are folders under their own names."""

    bronze: str
    silver: str
    gold: str


class LakeSettings(Section):
    """The lake's steps: when a minute closes, how much one batch takes."""

    catalog: str | None
    schemas: SchemaNames
    lateness_s: int
    clock_skew_s: int
    correction_interval_s: int
    settle_keys: int
    settle_ranges: int
    drain_versions: int
    trigger_interval_ms: int
    max_offsets_per_trigger: int
    rows_per_file: int
    restart_limit: int
    restart_backoff_s: float


class SparkSettings(Section):
    """The local Spark session."""

    master: str
    driver_memory: str
    log_level: str


class KafkaSettings(Section):
    """The broker: an own local one when bootstrap_servers is empty, otherwise that cluster."""

    bootstrap_servers: str | None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"]
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] | None
    sasl_username: str | None
    sasl_password: SecretStr | None
    ssl_cafile: str | None
    partitions: int
    replication_factor: int
    retention_ms: int
    retention_bytes: int
    segment_bytes: int
    broker_heap_mb: int
    broker_start_timeout_s: float
    broker_stop_timeout_s: float
    accept_recreated_topics: tuple[str, ...]


class ServingSettings(Section):
    """The doors to the lake."""

    thrift_port: int
    thrift_memory: str


class MlSettings(Section):
    """The models: features, training, and the predict step."""

    model_name: str
    horizon_s: int
    lookback_minutes: int
    gap_tolerance_minutes: int
    market_symbol: str
    train_minutes: int
    test_share: float
    min_training_rows: int
    trees: int
    depth: int
    seed: int
    predict_back_minutes: int
    expires_after_s: int
    label_grace_minutes: int
    live_score_interval_s: float
    live_score_minutes: int


class MlflowSettings(Section):
    """Tracking and registry: SQLite and a folder under the home when tracking_uri is empty."""

    tracking_uri: str | None
    experiment: str


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


class SimulatorFaultSettings(Section):
    """Faults the simulated venue commits; shares are probabilities per trade, 0 switches a fault off.

    Args:
        cut_every_s: mean time between two cuts of all connections (drawn evenly from half to one and a half of it).
        cut_kind: fin ends the stream properly, abort resets it, random draws one.
        stall_every_s: mean time between two stalls: open connections get no data, pings are answered.
        stall_s: length of a stall.
        duplicate_share: trades sent twice (Binance only: without ids a copy could not be told from a trade).
        reorder_share: trades sent after the next one of their symbol.
        drop_share: trades never sent, but in the ledger and in REST (Binance only: without ids it could not be seen).
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
        coincap_exchanges: exchanges with a CoinCap v2 trade stream.
        coincap_price_usd_missing_share: CoinCap frames without `priceUsd`.
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
    coincap_exchanges: tuple[str, ...]
    coincap_price_usd_missing_share: float
    start_back_s: float = Field(ge=0)
    speed: float = Field(gt=0)
    port: int = Field(ge=0, le=65535)
    tick_ms: int = Field(gt=0)
    state_interval_s: float
    market: SimulatorMarketSettings
    limits: SimulatorLimitSettings
    faults: SimulatorFaultSettings


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


class InboxSettings(Section):
    """What commands ask of the owner of the lake."""

    answer_timeout_s: float
    owner_return_s: float


class DemoSettings(Section):
    """The one command for a newcomer."""

    rate_per_s: float
    start_back_s: float
    speed: float
    backfill_days: int
    candle_share: float
    java_options: str
    refresh_s: float
    read_every_s: float
    plain_every_s: float


class SpoolSettings(Section):
    """The write-ahead files between a venue's socket and Kafka.

    Args:
        segment_bytes: a segment file is closed at this size; only whole segments are deleted.
        max_bytes: of all segments of one source; beyond it connections are closed until there is room.
        reserve_bytes: beyond max_bytes, for markers that say what was lost.
        resume_share: connections are opened again below this share of max_bytes.
        fsync_interval_ms: all records of this time share one fsync.
        checkpoint_interval_s: time between two writes of state.json, after which acknowledged segments are deleted.
    """

    segment_bytes: int
    max_bytes: int
    reserve_bytes: int
    resume_share: float
    fsync_interval_ms: int
    checkpoint_interval_s: float


class CollectorSettings(Section):
    """The collectors: connections, fills and the Kafka producer.

    Args:
        connect_timeout_s: for TCP, TLS and the upgrade together.
        stall_s: a connection without a data message for this long is closed.
        backoff_s: mean wait before the first new attempt; it doubles with each failure.
        backoff_max_s: the longest mean wait.
        stable_s: a connection that lived this long starts the backoff anew.
        rotate_after_s: age at which a connection is replaced (venues cut at 24 h).
        rotate_patience_s: how long the replacement may take to bring its first data, before it is dropped.
        close_timeout_s: how long what the venue still sends is read after we asked to close.
        max_frame_bytes: a longer message ends the connection.
        oversize_bytes: a longer message is published as its head, length and sha256.
        oversize_head_bytes: length of that head.
        gap_wait_s: how long a missing id may still arrive by itself, before it is fetched.
        gap_slack_s: by how much a recorded disconnect is widened at its start: venues send a few seconds out of order.
        quiet_probe_s: a symbol without a trade for this long is asked for by REST.
        rest_timeout_s: for one REST call.
        fill_backoff_max_s: the longest wait before a failed fill is tried again.
        max_unacked: most records handed to the producer and not yet acknowledged (it has no memory bound itself).
        max_unacked_bytes: the same in bytes.
        linger_ms: how long the producer collects a batch.
        delivery_timeout_ms: after which an unsent record goes back to the spool.
        drain_timeout_s: how long a stopping collector waits for acknowledgements; the rest stays in the spool.
        drain_patience_s: the same, when nothing is acknowledged any more.
        producer_close_timeout_s: how long the producer may take to close.
        publish_stall_s: a replay or backfill gives up when nothing is acknowledged for this long.
        status_interval_s: time between two writes of run/collector-<source>.json.
    """

    connect_timeout_s: float
    stall_s: float
    backoff_s: float
    backoff_max_s: float
    stable_s: float
    rotate_after_s: float
    rotate_patience_s: float
    close_timeout_s: float
    max_frame_bytes: int
    oversize_bytes: int
    oversize_head_bytes: int
    gap_wait_s: float
    gap_slack_s: float
    quiet_probe_s: float
    rest_timeout_s: float
    fill_backoff_max_s: float
    max_unacked: int
    max_unacked_bytes: int
    linger_ms: int
    delivery_timeout_ms: int
    drain_timeout_s: float
    drain_patience_s: float
    producer_close_timeout_s: float
    publish_stall_s: float
    status_interval_s: float


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


class AuditSettings(Section):
    """The audit.

    Args:
        rows_per_part: rows of one table held in memory at once; the rest waits on disk.
        batch_bytes: how much of a file is read at once.
        examples: failures shown per check.
        gap_slack_s: how far a missing trade's time may lie outside a recorded disconnect, as clocks differ.
        ledger_live_s: while a collector runs, the last seconds of its venue are still on their way.
    """

    rows_per_part: int
    batch_bytes: int
    examples: int
    gap_slack_s: float
    ledger_live_s: float


class Settings(BaseSettings):
    """The whole tree; built by `load_settings` only."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", case_sensitive=False
    )

    target: str
    home: Path
    lake: LakeSettings
    spark: SparkSettings
    kafka: KafkaSettings
    audit: AuditSettings
    spool: SpoolSettings
    collector: CollectorSettings
    venues: VenueSettings
    supervisor: SupervisorSettings
    inbox: InboxSettings
    demo: DemoSettings
    simulator: SimulatorSettings
    ml: MlSettings
    mlflow: MlflowSettings
    serving: ServingSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the files, and flags over both."""
        given = cast(InitSettingsSource, init_settings).init_kwargs
        flags = InitSettingsSource(settings_cls, init_kwargs=dict(given.get("flags", {})))
        files = InitSettingsSource(settings_cls, init_kwargs=dict(given.get("files", {})))
        return flags, env_settings, files


def load_settings(target: str | None = None, **flags: Any) -> Settings:
    """Read the tree for one target.

    Args:
        target: the name of a file in conf/; None takes CRYPTOLAKE__TARGET, else "local".
        flags: top-level values that win over files and environment; None means not given.

    Raises:
        SettingsError: a key is unknown, missing, or has a value of the wrong kind.
    """
    _refuse_unknown_environment(os.environ)
    target = target or os.environ.get(f"{ENV_PREFIX}TARGET") or "local"
    files = _merged(_conf_file("base"), _conf_file(target))
    home = os.environ.get("CRYPTOLAKE_HOME")
    given = {"home": home} if home else {}
    given |= {key: value for key, value in flags.items() if value is not None}
    given["target"] = target
    try:
        return Settings(flags=given, files=files)  # type: ignore[call-arg]
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise SettingsError(f"Settings for target {target!r}: {problems}", "Mend conf/ or the environment.") from None


def _conf_file(name: str) -> Mapping[str, Any]:
    path = resources.files("conf") / f"{name}.yml"
    if not path.is_file():
        known = sorted(
            p.name.removesuffix(".yml") for p in resources.files("conf").iterdir() if p.name.endswith(".yml")
        )
        raise SettingsError(f"No settings for target {name!r}", f"Targets in conf/: {', '.join(known)}.")
    return cast(Mapping[str, Any], yaml.safe_load(path.read_text(encoding="utf-8")) or {})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both_maps = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(cast(Mapping[str, Any], below), value) if both_maps else value
    return result


def _refuse_unknown_environment(environment: Mapping[str, str]) -> None:
    for name in environment:
        section = name.upper().removeprefix(ENV_PREFIX).split("__")[0].lower()
        if name.upper().startswith(ENV_PREFIX) and section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise SettingsError(f"{name} names no setting", f"Sections: {known}.")
