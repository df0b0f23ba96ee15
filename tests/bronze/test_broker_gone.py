"""A broker that is down, killed, frozen or out of reach: the spool keeps what the venue said until it is published."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from bronze_kit import (
    QUICK,
    Message,
    Read,
    Simulate,
    Start,
    TopicReader,
    await_until,
    everything_to_now_arrives,
    topic_readers,
)
from experiments import Experiment, peak_mib
from simulator_process import simulated_urls
from tcp_proxy import ProxiedBroker

from cryptolake.broker.local import LocalBroker
from lakehouse.settings import load_settings


@pytest.mark.experiment(
    3,
    fault="SIGTERM while the broker is down and the spool full of frames",
    holds="I1: ends by itself within 10 s, and everything goes out of the spool at the next start",
)
@pytest.mark.timeout(600)
def test_sigterm_with_the_broker_down_ends_in_time_and_keeps_everything(
    simulator: Simulate,
    collector: Start,
    own_broker: LocalBroker,
    kafka: str,
    read_topic: Read,
    experiment: Experiment,
) -> None:
    market = simulator(rate=experiment.times(800, 4000), symbols=5)
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK)
    running.await_frames(200)
    own_broker.stop()
    try:
        running.await_frames(experiment.times(3_000, 100_000), 120)
        frames = running.status()["frames"]
        took_s = running.terminate()
        market.end()
        experiment.done()
        experiment.note(f"ended {took_s:.1f} s after SIGTERM with {frames:,} frames")
        assert took_s < 10
    finally:
        own_broker.start()
    running.urls = simulated_urls(market.start().urls)
    running.start()
    everything_to_now_arrives(market, reader, 240)
    streamed = {(m.headers["session_id"], m.headers["sequence"]) for m in reader.read() if is_streamed(m)}
    first_session = min(session for session, _ in streamed)
    assert (
        len([session for session, _ in streamed if session == first_session]) >= frames
    )  # out of the spool, not by REST
    assert running.terminate() < 10


def is_streamed(message: Message) -> bool:
    return message.headers["origin"] == "stream"


@pytest.mark.experiment(
    4,
    fault="kill -9 of the broker under load, away for longer than the producer keeps a record",
    holds="I1 I2: every trade of the ledger is in Kafka; the venue's side never noticed",
)
@pytest.mark.timeout(900)
def test_kill_9_of_the_broker_loses_no_trade(
    simulator: Simulate,
    collector: Start,
    own_broker: LocalBroker,
    kafka: str,
    read_topic: Read,
    experiment: Experiment,
) -> None:
    market = simulator(rate=1000, symbols=5)
    reader = read_topic("binance.trade")
    # Shorter than the broker is away: records come back from the producer and must go out again from the spool.
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK | {"delivery_timeout_ms": 3000})
    for _ in range(experiment.times(1, 20)):
        await_more(reader)
        told = running.log().count("came back")
        os.kill(pid_of(own_broker), signal.SIGKILL)
        own_broker._process.wait()  # type: ignore[union-attr] # noqa: SLF001
        await_until(lambda told=told: running.log().count("came back") > told, 60, "records that came back")
        assert own_broker.start() == kafka
        experiment.done()
    everything_to_now_arrives(market, reader, 120)
    assert running.status()["reconnects"] == 0  # the venue's side never noticed
    assert running.terminate() < 10


def await_more(reader: TopicReader) -> None:
    """Wait until some is published: what is counted as a frame is in the spool, and not yet with the producer."""
    published = len(reader.read())
    await_until(lambda: len(reader.read()) > published + 300, 60, "more records")


def pid_of(broker: LocalBroker) -> int:
    assert broker._process is not None  # noqa: SLF001 - only its pid is wanted
    return broker._process.pid  # noqa: SLF001


@pytest.mark.experiment(
    5,
    fault="the broker is frozen (SIGSTOP) for longer than a request, and for longer than the producer keeps a record",
    holds="I1 I2: every trade of the ledger is in Kafka; I10: the collector stays below 300 MiB",
)
@pytest.mark.timeout(900)
def test_a_frozen_broker_loses_no_trade(
    simulator: Simulate,
    collector: Start,
    own_broker: LocalBroker,
    kafka: str,
    read_topic: Read,
    experiment: Experiment,
) -> None:
    # Whole: the settings of production, within their delivery timeout and beyond it.
    keeps_ms, frozen_s = experiment.times((3_000, (1.5, 8.0)), (60_000, (45.0, 150.0)))
    market = simulator(rate=1000, symbols=5)
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK | {"delivery_timeout_ms": keeps_ms})
    for seconds in frozen_s:
        await_more(reader)
        os.kill(pid_of(own_broker), signal.SIGSTOP)
        try:
            time.sleep(seconds)  # the length of the freeze is the experiment
        finally:
            os.kill(pid_of(own_broker), signal.SIGCONT)
        everything_to_now_arrives(market, reader, 120)
        experiment.done()
    assert "came back" in running.log()
    assert running.status()["reconnects"] == 0
    assert running.process is not None
    most = peak_mib(running.process.pid)
    experiment.note(f"collector at most {most} MiB")
    assert most < 300
    assert running.terminate() < 10


@pytest.mark.experiment(
    12,
    fault="the network between collector and broker goes and comes, refused or silent, for longer than the producer"
    " keeps a record",
    holds="I1: every trade of the ledger is in Kafka; I10: the collector stays below 300 MiB",
)
@pytest.mark.timeout(600)
def test_a_flapping_network_to_the_broker_loses_no_trade(
    simulator: Simulate, collector: Start, tmp_path: Path, experiment: Experiment
) -> None:
    broker = ProxiedBroker(load_settings(home=tmp_path / "broker"))
    address = broker.start()
    try:
        market = simulator(rate=500, symbols=5)
        with topic_readers(address) as open_reader:
            reader = open_reader("binance.trade")
            flaky = {"delivery_timeout_ms": 1_500}
            running = collector("binance", address, simulated_urls(market.urls), **QUICK | flaky)
            running.await_frames(500)
            for _ in range(experiment.times(3, 25)):
                broker.proxy.cut(experiment.chance.choice(("refuse", "silence")))
                time.sleep(experiment.chance.uniform(2, 3))  # the rhythm is the experiment
                broker.proxy.restore()
                time.sleep(experiment.chance.uniform(0.5, 3))
                experiment.done()
            everything_to_now_arrives(market, reader, 120)
            assert "came back" in running.log()
            assert running.process is not None
            most = peak_mib(running.process.pid)
            experiment.note(f"collector at most {most} MiB")
            assert most < 300
            assert running.terminate() < 10
    finally:
        broker.stop()
