"""Which processes make a running home, and what each needs before it can start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from bronze.venues import SOURCES
from cryptolake.children import ChildSpec
from cryptolake.run_files import read_json, run_file
from cryptolake.supervisor import stop_running
from lakehouse.home import Kind
from lakehouse.settings import Settings, load_settings

# Stages of the stop: what feeds ends before what is fed.
_FEED, _LAKE, _BROKER = 0, 1, 2


def home_processes(
    settings: Settings,
    kind: Kind,
    simulator_arguments: Mapping[str, str] | None = None,
) -> list[ChildSpec]:
    """List the processes of a home: broker, lake, collectors, back-fill, and the simulator when it is simulated.

    Args:
        settings: the home.
        kind: what the home holds.
        simulator_arguments: options for the simulator beyond where its files are.
    """
    lake = ChildSpec(
        name="lake",
        command=cryptolake_command(settings, "run"),
        ready=_told(settings, "lake"),
        stage=_LAKE,
        patience_s=settings.supervisor.lake_stop_s,
        after_stop=lambda: run_file(settings, "lake").unlink(missing_ok=True),
    )
    asking = [*(collector(settings, source) for source in SOURCES), gap_backfill(settings)]
    specs = [lake, *asking]
    if not settings.kafka.bootstrap_servers:
        specs.insert(0, _broker(settings))
    if kind == "simulated":
        simulated = simulator(settings, simulator_arguments or {})
        specs = [simulated, *(_on_simulator(settings, spec) if spec in asking else spec for spec in specs)]
    return specs


def collector(settings: Settings, source: str) -> ChildSpec:
    """The process that collects one source."""
    return ChildSpec(
        name=collector_name(source),
        command=cryptolake_command(settings, "collect", source),
        ready=lambda pid: _connected(settings, source, pid),
        stage=_FEED,
        patience_s=settings.supervisor.collector_stop_s,
        after_stop=lambda: run_file(settings, f"collector-{source}").unlink(missing_ok=True),
    )


def collector_name(source: str) -> str:
    """What the process that collects a source is called."""
    return f"collect-{source}"


def gap_backfill(settings: Settings) -> ChildSpec:
    """The process that fetches what open gaps in Binance's ids name."""
    return ChildSpec(
        name="backfill-gaps",
        command=cryptolake_command(settings, "backfill"),
        stage=_FEED,
        patience_s=settings.supervisor.collector_stop_s,
    )


def simulated_backfill(settings: Settings, days: int) -> ChildSpec:
    """The process that brings the simulated venue's candles, once."""
    return _on_simulator(
        settings,
        ChildSpec(
            name="backfill",
            command=cryptolake_command(settings, "backfill", "klines", "--days", str(days)),
            stage=_FEED,
            patience_s=settings.supervisor.collector_stop_s,
            once=True,
        ),
    )


def simulator(settings: Settings, arguments: Mapping[str, str]) -> ChildSpec:
    """The simulated market, on a port that it keeps when it is started again: its clients know no other."""
    told = run_file(settings, "simulator")
    port = 0

    def command() -> list[str]:
        nonlocal port
        port = int(read_json(told).get("port", port))
        told.unlink(missing_ok=True)
        options = {"--home": settings.home.resolve(), "--port": port, "--port-file": told, **arguments}
        return ["simulator", *(str(part) for option in options.items() for part in option)]

    return ChildSpec(
        name="simulator",
        command=command,
        ready=lambda _pid: simulator_environment(settings) is not None,
        stage=_LAKE,
        after_stop=lambda: told.unlink(missing_ok=True),
    )


def simulator_ledger(settings: Settings) -> Path:
    """Every trade that the simulated market of a home ever made live."""
    return settings.home.resolve() / "simulator" / "ledger.jsonl"


def simulator_environment(settings: Settings) -> dict[str, str] | None:
    """The variables that point venues at the home's running simulator; None when none runs."""
    told = read_json(run_file(settings, "simulator"))
    if "port" not in told or not _alive(told.get("pid")):
        return None
    prefix = "CRYPTOLAKE__VENUES__"
    return {
        f"{prefix}BINANCE__WS_URL": told["ws_url"],
        f"{prefix}BINANCE__REST_URL": told["rest_url"],
        f"{prefix}BYBIT__WS_URL": told["bybit_ws_url"],
        f"{prefix}BYBIT__REST_URL": told["bybit_rest_url"],
        f"{prefix}COINCAP__WS_URL": told["coincap_ws_url"],
        f"{prefix}COINCAP__PRICE_WS_URL": told["coincap_price_ws_url"],
        f"{prefix}COINCAP__API_KEY": told["coincap_api_key"],
        f"{prefix}COINGECKO__URL": told["coingecko_url"],
        # The simulated market is there to be watched: it is asked more often than the venues would like.
        **{f"{prefix}{key}": str(value) for key, value in _quicker(settings).items()},
    }


def _quicker(settings: Settings) -> dict[str, float]:
    demo = settings.demo
    return {
        "TICKERS__INTERVAL_S": demo.tickers_every_s,
        "COINGECKO__INTERVAL_S": demo.prices_every_s,
        "COINGECKO__MARKETS_INTERVAL_S": demo.market_caps_every_s,
    }


def with_simulator(settings: Settings) -> Settings:
    """The settings with venues at the home's running simulator, or unchanged when none runs."""
    environment = simulator_environment(settings)
    if environment is None:
        return settings
    os.environ.update(environment)
    return load_settings(settings.target, home=settings.home)


def stop_home(settings: Settings) -> bool:
    """Stop all that runs for a home, whoever started it; return whether anything did."""
    from cryptolake.broker.local import stop_broker

    stopped = stop_running(settings)
    if not settings.kafka.bootstrap_servers:
        # A broker outlives a killed parent, so that what is in flight still finds it.
        stopped |= stop_broker(settings)
    for path in (settings.home.resolve() / "run").glob("*.json"):
        path.unlink(missing_ok=True)
    return stopped


def cryptolake_command(settings: Settings, *arguments: str) -> Callable[[], list[str]]:
    """A command of our own on this home."""
    command = ["cryptolake", "--home", str(settings.home.resolve()), "--target", settings.target, *arguments]
    return lambda: command


def _broker(settings: Settings) -> ChildSpec:
    from cryptolake.broker.files import BrokerFiles
    from cryptolake.broker.local import running_broker
    from cryptolake.broker.local import stop_running as stop_broker_jvm

    return ChildSpec(
        name="broker",
        command=cryptolake_command(settings, "broker"),
        ready=lambda _pid: running_broker(settings) is not None,
        stage=_BROKER,
        patience_s=settings.supervisor.broker_stop_s,
        # Only a parent that was killed leaves its JVM; that had its time already.
        after_stop=lambda: stop_broker_jvm(BrokerFiles(settings.home), 1.0),
    )


def _on_simulator(settings: Settings, spec: ChildSpec) -> ChildSpec:
    return replace(
        spec,
        may_start=lambda: simulator_environment(settings) is not None,
        environment=lambda: simulator_environment(settings) or {},
    )


def _told(settings: Settings, name: str) -> Callable[[int], bool]:
    """Whether the file of a process was written by the one that runs now."""
    return lambda pid: read_json(run_file(settings, name)).get("pid") == pid


def _connected(settings: Settings, source: str, pid: int) -> bool:
    told = read_json(run_file(settings, f"collector-{source}"))
    return told.get("pid") == pid and bool(told.get("connected"))


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
