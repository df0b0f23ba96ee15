"""Two collectors of a venue that says a fifth of its trades twice, and a replay of it all: each trade is there once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bronze_kit import QUICK, CollectorProcess, TopicReader, await_until, ledger_ids
from experiments import Experiment
from pyspark.sql import SparkSession
from simulator_process import SimulatorProcess, simulated_urls
from stream_lake import StreamLake

from cryptolake.audit.run import audit
from cryptolake.broker.local import LocalBroker
from lakehouse.settings import Settings
from silver.tables import ONE_MINUTE_BARS, QUARANTINE, SIX_MINUTE_TRENDS, TRADES


@pytest.fixture
def servers(settings: Settings) -> Iterator[str]:
    local = LocalBroker(settings)
    yield local.start()
    local.stop()


@pytest.fixture
def collectors(tmp_path: Path, servers: str) -> Iterator[Callable[[SimulatorProcess], list[CollectorProcess]]]:
    """Two, each on a home of its own: one home would refuse the second."""
    started: list[CollectorProcess] = []

    def start(market: SimulatorProcess) -> list[CollectorProcess]:
        for name in ("one", "two"):
            made = CollectorProcess("binance", tmp_path / name, servers, simulated_urls(market.urls), dict(QUICK))
            started.append(made.start())
        return started

    yield start
    for each in started:
        each.kill()


def has_all(published: list[int], wanted: list[int]) -> bool:
    """Whether all of these ids are published that are not from before anybody listened."""
    held = set(published)
    return bool(held) and {number for number in wanted if number >= min(held)} <= held


@pytest.mark.experiment(
    21,
    fault="a fifth of the trades said twice, two collectors of one venue, then a replay of all that was published",
    holds="I1 I2 I5 I7 against the ledger; every further copy is counted, and the replay changes no row above bronze",
)
@pytest.mark.timeout(600)
def test_each_trade_is_there_once_whoever_brings_it(
    spark: SparkSession,
    settings: Settings,
    servers: str,
    simulator: Callable[..., SimulatorProcess],
    collectors: Callable[[SimulatorProcess], list[CollectorProcess]],
    tmp_path: Path,
    experiment: Experiment,
) -> None:
    market = simulator(
        rate=experiment.times(300, 1000), symbols=5, faults="duplicate_share=0.2", seed=experiment.seed % 2**31
    )
    reader = TopicReader(servers, "binance.trade")
    world = StreamLake(spark, settings, servers)
    running = collectors(market)
    for collector in running:
        collector.await_frames(experiment.times(1_000, 30_000), 120)
    market.fault(duplicate_share=0)
    wanted = ledger_ids(market.ledger())
    await_until(lambda: all(has_all(reader.ids()[symbol], ids) for symbol, ids in wanted.items()), 60, "all", 0.3)
    for collector in running:
        assert collector.terminate() < 10
    world.run()
    messages = reader.read()
    published = reader.ids()
    reader.close()
    assert world.ids() == sorted((f"{s[:-4]}-{s[-4:]}", number) for s, ids in published.items() for number in set(ids))
    failed = [f"{r.name}: {r.examples}" for r in audit(settings, market.ledger_path) if not r.passed]
    assert failed == []

    above = (TRADES, QUARANTINE, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS)
    before = [world.rows(table) for table in above]
    streamed = [message for message in messages if message.headers["origin"] == "stream"]
    world.publish(
        json.dumps({"received_ns": int(m.headers["received_at_us"]) * 1000, "frame": m.value.decode()})
        for m in streamed
    )
    world.run()
    assert [world.rows(table) for table in above] == before
    copies = sum(map(len, published.values())) + len(streamed) - len(world.ids())
    audited = {result.name: result.note for result in audit(settings, market.ledger_path)}
    print(audited["silver.trades complete"])
    assert f"{copies:,} further copies" in audited["silver.trades complete"]
    experiment.done(copies)
    experiment.note(f"{len(world.ids()):,} trades")
