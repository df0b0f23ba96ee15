"""Commands that run until they are stopped, and those that start and stop them all."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cryptolake.commands.options import brokers, settings_of
from cryptolake.logs import log_to
from lakehouse.errors import CryptolakeError


def up(
    context: typer.Context,
    simulated: Annotated[bool, typer.Option("--simulated", help="A new home gets the simulated market.")] = False,
) -> None:
    """Run all processes of the home until Ctrl-C: broker, collectors, lake.

    Example: cryptolake up
    """
    from cryptolake.commands.venues import take_home
    from cryptolake.processes import home_processes
    from cryptolake.signals import stop_on_signals
    from cryptolake.supervisor import Supervisor
    from lakehouse.home import home_kind

    settings = settings_of(context)
    log_to(settings.home / "logs" / "supervisor.log")
    kind = "simulated" if simulated else home_kind(settings) or "real"
    supervisor = Supervisor(settings, home_processes(settings, kind))
    with stop_on_signals() as stop:
        supervisor.start()
        try:
            take_home(settings, kind)
            typer.echo(f"{settings.home} ({kind}): starting {', '.join(supervisor.children)}; Ctrl-C stops all")
            told: dict[str, str] = {}
            while not stop.wait(0.2):
                supervisor.tick()
                for name, child in supervisor.children.items():
                    if told.get(name) != child.state and child.state not in ("waiting", "running"):
                        typer.echo(f"{time.strftime('%H:%M:%S')} {name}: {child.state} {child.problem}".rstrip())
                        told[name] = child.state
        finally:
            supervisor.stop()
    typer.echo("stopped")


def down(context: typer.Context) -> None:
    """Stop all that runs for the home.

    Example: cryptolake --home .cryptolake down
    """
    from cryptolake.processes import stop_home

    settings = settings_of(context)
    typer.echo(f"{settings.home}: stopped" if stop_home(settings) else f"{settings.home}: nothing runs")


def broker(context: typer.Context) -> None:
    """Run the home's own Kafka broker until Ctrl-C.

    Example: cryptolake broker
    """
    from cryptolake.broker.local import LocalBroker
    from cryptolake.child import supervised
    from cryptolake.signals import stop_on_signals

    settings = settings_of(context)
    log_to()
    if settings.kafka.bootstrap_servers:
        raise CryptolakeError(
            f"kafka.bootstrap_servers is {settings.kafka.bootstrap_servers}", "That cluster is used; none is started."
        )
    with stop_on_signals() as stop:
        local = LocalBroker(settings)
        try:
            # A supervisor that was started again takes over the broker that the one before it left.
            typer.echo(f"broker at {local.start(adopt=supervised())}; Ctrl-C stops it")
            while not stop.wait(0.5):
                if not local.alive:
                    raise CryptolakeError("The broker ended", f"See {settings.home}/logs/broker.log.")
        finally:
            local.stop()


def collect(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="binance, bybit, coincap, tickers or coingecko")],
) -> None:
    """Collect a source until Ctrl-C: trades of binance, bybit or coincap, 24 h tickers, prices of coingecko or coincap.

    Example: cryptolake collect binance
    """
    from cryptolake.commands.venues import settings_for_venues
    from cryptolake.signals import stop_on_signals

    settings = settings_for_venues(settings_of(context), source)
    log_to()
    from bronze.collector import collect as run_collector

    with brokers(settings) as bootstrap_servers, stop_on_signals() as stop:
        run_collector(source, settings, bootstrap_servers, stop)


def run(
    context: typer.Context,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Process what is there, then end.")] = False,
) -> None:
    """Carry Kafka's records into all tables until Ctrl-C.

    Example: cryptolake run --until-idle
    """
    from cryptolake.signals import stop_on_signals
    from lakehouse.session import spark_session

    settings = settings_of(context)
    log_to()
    # Spark takes longest to start, needs no broker, and installs a handler for Ctrl-C that ours must replace.
    spark_session(settings)
    from cryptolake.running import run as run_pipeline

    with stop_on_signals() as stop, brokers(settings) as bootstrap_servers:
        run_pipeline(settings, bootstrap_servers, until_idle=until_idle, stop=stop)


def step(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="land, refine, aggregate or predict")],
) -> None:
    """Run one step over what the table above it holds, and end.

    Example: cryptolake step refine
    """
    from contextlib import ExitStack

    settings = settings_of(context)
    from cryptolake.single_steps import run_step

    with ExitStack() as stack:
        consumed = run_step(name, settings, lambda: stack.enter_context(brokers(settings)))
    typer.echo(f"{name}: {consumed} consumed")


def sql_server(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="0 takes the setting, or a free one.", min=0, max=65535)] = 0,
) -> None:
    """Serve the tables to Tableau, beeline and PyHive on loopback until Ctrl-C.

    Example: cryptolake sql-server
    """
    import threading
    from contextlib import ExitStack

    from cryptolake.signals import stop_on_signals

    settings = settings_of(context)
    from serving.thrift import serve

    stop = threading.Event()
    with ExitStack() as stack:

        def ready(at: int) -> None:
            # Only now: Spark, which has just started, installs a handler for Ctrl-C of its own.
            stack.enter_context(stop_on_signals(stop))
            url = f"jdbc:hive2://127.0.0.1:{at}"
            typer.echo(f"Thrift server at 127.0.0.1:{at} (Tableau: connector Spark SQL); Ctrl-C stops it")
            typer.echo(f"  beeline -u {url} -e 'SHOW TABLES IN gold_bi'")

        serve(settings, stop, ready, port)
