"""Collectors as processes, a real broker, the real simulator: nothing is lost whatever dies."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bronze_kit import (
    CollectorProcess,
    Message,
    TopicReader,
    await_until,
    broker_of_its_own,
    ledger_ids,
    topic_readers,
)
from experiments import Experiment, peak_mib
from simulator_process import SimulatorProcess, simulated_urls
from tcp_proxy import ProxiedBroker

from cryptolake.broker.local import LocalBroker
from lakehouse.settings import load_settings

Start = Callable[..., CollectorProcess]
Simulate = Callable[..., SimulatorProcess]
Read = Callable[[str], TopicReader]

FAULTS = "duplicate_share=0.02,reorder_share=0.02,drop_share=0.02,malformed_share=0.01,cut_every_s=4"
QUICK = {"gap_wait_s": 0.5, "quiet_probe_s": 2, "backoff_s": 0.1, "stall_s": 3}


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with broker_of_its_own(tmp_path_factory.mktemp("collecting")) as local:
        yield local


@pytest.fixture
def kafka(own_broker: LocalBroker) -> str:
    """The bootstrap servers of that broker; they stay when it is started again."""
    running = own_broker._files.running()  # noqa: SLF001 - another test may have started it again
    assert running is not None
    return running.bootstrap_servers


@pytest.fixture
def read_topic(kafka: str) -> Iterator[Read]:
    with topic_readers(kafka) as open_reader:
        yield open_reader


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Start]:
    """Starts collectors as processes: `collector("binance", kafka, urls, rotate_after_s=2)`, on one home."""
    started: list[CollectorProcess] = []

    def start(source: str, bootstrap: str, urls: dict[str, str], **settings: object) -> CollectorProcess:
        started.append(CollectorProcess(source, tmp_path / "home", bootstrap, urls, dict(settings)))
        return started[-1].start()

    yield start
    for each in started:
        each.kill()
        print(f"--- log of {each.source}\n{each.log()[-4000:]}")


def everything_to_now_arrives(market: SimulatorProcess, reader: TopicReader, timeout_s: float = 60) -> None:
    """Every trade that is in the ledger now gets to the topic, while the market goes on."""
    wanted = ledger_ids(market.ledger())
    lost: dict[str, tuple[int, int, int]] = {}  # how many, first, last

    def arrived() -> bool:
        lost.clear()
        published = reader.ids()
        for symbol, ids in wanted.items():
            held = set(published.get(symbol, ()))
            gone = [number for number in ids if number not in held and number > min(held, default=-1)]
            if gone:
                lost[symbol] = (len(gone), gone[0], gone[-1])
        return not lost

    try:
        await_until(arrived, timeout_s, "everything", pause_s=0.3)
    except AssertionError:
        pytest.fail(f"never published: {lost}", pytrace=False)


@pytest.mark.experiment(
    1,
    fault="kill -9 of the collector at random, while the venue cuts, drops, doubles, reorders and sends garbage",
    holds="I1 I4: every trade of the ledger is in Kafka; further copies in bronze only",
    defence="the ids that were missed are asked for by REST (`Coverage.wanted` of bronze/coverage.py)",
)
def test_kill_9_of_the_collector_loses_no_trade(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read, experiment: Experiment
) -> None:
    drawn = experiment.chance
    market = simulator(rate=600, symbols=10, faults=FAULTS)
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK)
    running.await_frames(500)
    for _ in range(experiment.times(4, 50)):
        time.sleep(drawn.uniform(0.05, 1.5))
        running.kill()
        time.sleep(drawn.uniform(0.0, 0.6))
        running.start()
        experiment.done()
    running.await_frames(500)
    market.fault(cut_every_s=0, drop_share=0)
    everything_to_now_arrives(market, reader, 120)
    published = reader.ids()
    assert sum(len(ids) for ids in published.values()) > 1500
    experiment.note(f"{sum(len(ids) - len(set(ids)) for ids in published.values()):,} further copies")
    assert running.terminate() < 10


@pytest.mark.experiment(
    2,
    fault="kill -9 of the collector after spool, send, acknowledgement and trim",
    holds="I1: every trade of the ledger is in Kafka",
    defence="the spool gives up only what is acknowledged (`AckWindow.prefix` of bronze/ack_window.py)",
)
@pytest.mark.timeout(900)
def test_kill_9_between_any_two_steps_loses_no_trade(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read, experiment: Experiment
) -> None:
    market = simulator(rate=400, symbols=5)
    reader = read_topic("binance.trade")
    small = {"CRYPTOLAKE__SPOOL__SEGMENT_BYTES": 65_536}
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK, **small)
    running.await_frames(50)
    for fault in ("after_spool:500", "after_send:400", "after_ack:300", "after_trim:2") * experiment.times(1, 10):
        running.kill()
        running.start(f"collector_{fault}")
        assert running.process is not None
        assert running.process.wait(timeout=60) == -signal.SIGKILL
        experiment.done()
    running.start()
    running.await_frames(100)
    everything_to_now_arrives(market, reader, 120)


@pytest.mark.experiment(
    3,
    fault="SIGTERM while the broker is down and the spool full of frames",
    holds="I1: ends by itself within 10 s, and everything goes out of the spool at the next start",
    defence="the bounds of the drain (`collector.drain_timeout_s`, `drain_patience_s`)",
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
    defence="records that come back are sent again from the spool (`Publisher._send_again` of bronze/publisher.py)",
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
    running.await_frames(500)
    for _ in range(experiment.times(1, 20)):
        told = running.log().count("came back")
        os.kill(pid_of(own_broker), signal.SIGKILL)
        own_broker._process.wait()  # type: ignore[union-attr] # noqa: SLF001
        await_until(lambda told=told: running.log().count("came back") > told, 60, "records that came back")
        assert own_broker.start() == kafka
        experiment.done()
        frames = running.status()["frames"]
        running.await_frames(frames + 500)
    everything_to_now_arrives(market, reader, 120)
    assert running.status()["reconnects"] == 0  # the venue's side never noticed
    assert running.terminate() < 10


def pid_of(broker: LocalBroker) -> int:
    assert broker._process is not None  # noqa: SLF001 - only its pid is wanted
    return broker._process.pid  # noqa: SLF001


@pytest.mark.experiment(
    5,
    fault="the broker is frozen (SIGSTOP) for longer than a request, and for longer than the producer keeps a record",
    holds="I1 I2: every trade of the ledger is in Kafka; I10: the collector stays below 300 MiB",
    defence="records that come back are sent again from the spool (`Publisher._send_again` of bronze/publisher.py)",
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
    running.await_frames(500)
    for seconds in frozen_s:
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
    fault="the network between collector and broker goes and comes, refused or silent",
    holds="I1: every trade of the ledger is in Kafka; I10: the collector stays below 300 MiB",
    defence="records that come back are sent again from the spool (`Publisher._send_again` of bronze/publisher.py)",
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
            flaky = {"delivery_timeout_ms": 4_000}
            running = collector("binance", address, simulated_urls(market.urls), **QUICK | flaky)
            running.await_frames(500)
            for _ in range(experiment.times(3, 25)):
                broker.proxy.cut(experiment.chance.choice(("refuse", "silence")))
                time.sleep(experiment.chance.uniform(1, 3))  # the rhythm is the experiment
                broker.proxy.restore()
                time.sleep(experiment.chance.uniform(0.5, 3))
                experiment.done()
            everything_to_now_arrives(market, reader, 120)
            assert running.process is not None
            most = peak_mib(running.process.pid)
            experiment.note(f"collector at most {most} MiB")
            assert most < 300
            assert running.terminate() < 10
    finally:
        broker.stop()


@pytest.mark.experiment(
    10,
    fault="the venue's connection ended properly and reset",
    holds="I1: ids are contiguous again, by REST",
    defence="the ids that were missed are asked for by REST (`Coverage.wanted` of bronze/coverage.py)",
)
def test_a_cut_is_filled_until_ids_are_contiguous(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read, experiment: Experiment
) -> None:
    market = simulator(rate=500, symbols=20)
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK)
    running.await_frames(300)
    for kind in ("abort", "fin") * experiment.times(1, 10):
        before = running.status()["frames"]
        market.fault(cut=kind)
        running.await_frames(before + 300)
        experiment.done()
    everything_to_now_arrives(market, reader)
    fills = [message for message in reader.messages if message.headers["origin"] == "backfill"]
    assert fills
    for message in fills:
        assert message.headers["channel"] == "trade"
        assert message.key in ledger_ids(market.ledger())
        row = json.loads(message.value)[0]
        assert list(row) == ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]
    for ids in reader.ids().values():
        assert set(range(min(ids), max(ids) + 1)) == set(ids)


def test_dropped_trades_are_fetched_and_reordered_ones_are_not(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read
) -> None:
    market = simulator(rate=400, symbols=3, faults="reorder_share=0.2")
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK | {"gap_wait_s": 1})
    running.await_frames(1000)
    assert running.status()["fills"] == 0
    market.fault(reorder_share=0, drop_share=0.05)
    running.await_frames(2000)
    market.fault(drop_share=0)
    everything_to_now_arrives(market, reader)
    assert running.status()["fills"] > 0


def test_trades_that_no_later_one_shows_are_asked_for(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read
) -> None:
    market = simulator(rate=300, symbols=3)
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK)
    running.await_frames(200)
    market.fault(drop_share=1)  # from here on the stream is silent, though there is trading
    number = sum(map(len, ledger_ids(market.ledger()).values()))
    await_until(lambda: sum(map(len, ledger_ids(market.ledger()).values())) > number + 100, 20, "unheard trades")
    everything_to_now_arrives(market, reader)


@pytest.mark.experiment(
    10,
    11,
    fault="a venue that answers pings and sends nothing",
    holds="I1 I9: another connection within 8 s, and what was missed is fetched",
    defence="the watchdog on data (`stall_s`, bronze/connection.py)",
)
def test_a_stalled_stream_is_left_for_a_new_one(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read
) -> None:
    market = simulator(rate=300, symbols=3, limits="ping_interval_s=0.3")
    reader = read_topic("binance.trade")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK | {"stall_s": 1.5})
    running.await_frames(200)
    before = running.status()["frames"]
    market.fault(stall=60.0)  # pings are answered all the while
    began = time.monotonic()
    running.await_frames(before + 500)
    assert time.monotonic() - began < 8
    assert running.status()["reconnects"] == 1
    assert "no data for 1.5 s" in running.log()
    everything_to_now_arrives(market, reader)


def test_rotation_overlaps_and_costs_nothing(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read
) -> None:
    market = simulator(rate=500, symbols=3)
    reader = read_topic("binance.trade")
    running = collector(
        "binance", kafka, simulated_urls(market.urls), **QUICK | {"rotate_after_s": 1.5, "gap_wait_s": 1}
    )
    running.await_frames(2500)
    market.fault(shutdown_notice=True)
    await_until(lambda: running.log().count("rotated") >= 3, 10, "rotation on serverShutdown")
    everything_to_now_arrives(market, reader)
    status = running.status()
    assert (status["fills"], status["reconnects"]) == (0, 0)
    by_session: dict[str, list[int]] = {}
    for message in reader.messages:
        by_session.setdefault(message.headers["session_id"], []).append(int(message.headers["sequence"]))
    assert len(by_session) >= 4
    assert any(message.headers["channel"] == "control" for message in reader.messages) is False
    # The last two sessions may still be on their way; in the others only the notice, which is no trade, is missing.
    for sequences in list(by_session.values())[:-2]:
        assert len(set(sequences)) == len(sequences)
        assert len(set(range(max(sequences) + 1)) - set(sequences)) <= 1


def test_ids_behind_the_horizon_are_said_to_be_lost(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read
) -> None:
    market = simulator(rate=1000, symbols=2, limits="history_horizon_trades=60")
    lost = read_topic("binance.gap")
    running = collector("binance", kafka, simulated_urls(market.urls), **QUICK)
    running.await_frames(300)
    running.kill()
    time.sleep(1.5)
    running.start()
    running.await_frames(300)

    def markers() -> list[dict[str, Any]]:
        found = [json.loads(message.value) for message in lost.read()]
        return [marker for marker in found if marker.get("kind") == "unrecoverable"]

    await_until(lambda: len({m["symbol"] for m in markers()}) == 2, 15, "a marker for each symbol")
    assert all(marker["from_id"] <= marker["to_id"] for marker in markers())
    assert "unrecoverable" in running.log()


@pytest.mark.experiment(
    10,
    fault="a connection without ids is reset, and its collector killed",
    holds="I1: every trade that was not heard lies in a recorded gap of time",
    defence="the marker of a broken session (`disconnect`, bronze/breaks.py)",
)
def test_a_lost_coincap_connection_is_recorded_as_a_time_gap(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read, experiment: Experiment
) -> None:
    market = simulator(coincap_rate=100)
    reader, gaps = read_topic("coincap-binance.trade"), read_topic("coincap-binance.gap")
    one = {"CRYPTOLAKE__VENUES__COINCAP__EXCHANGES": '["binance"]'}
    running = collector("coincap", kafka, simulated_urls(market.urls), **QUICK, **one)
    running.await_frames(100)
    market.fault(cut="abort", venue="coincap-binance")
    running.await_frames(300)
    running.kill()
    running.start()
    running.await_frames(100)
    assert running.terminate() < 10
    markers = [json.loads(message.value) for message in gaps.read()]
    assert [marker["kind"] for marker in markers] == ["disconnect", "disconnect"]
    experiment.done(2)
    assert "Connection" in markers[0]["reason"]
    assert markers[1]["reason"] == "collector started"
    heard = {(m["base"], m["quote"], m["price"], m["volume"], m["timestamp"]) for m in map(frame, reader.read())}
    assert len({message.headers["session_id"] for message in reader.messages}) == 3
    assert {message.headers["venue"] for message in reader.messages} == {"coincap-binance"}
    last_us = max(m[4] for m in heard) * 1000
    first_us = min(m[4] for m in heard) * 1000
    ledger = [row for row in market.ledger("coincap-binance") if first_us < row["event_time_us"] < last_us]
    heard_prices = {(float(price), float(volume), time_ms * 1000) for _, _, price, volume, time_ms in heard}
    unheard = [
        row for row in ledger if (float(row["price"]), float(row["quantity"]), row["event_time_us"]) not in heard_prices
    ]
    assert unheard
    for row in unheard:
        assert any(m["from_time_us"] <= row["event_time_us"] <= m["to_time_us"] for m in markers), row


def frame(message: Any) -> dict[str, Any]:
    return dict(json.loads(message.value))


def test_coincap_never_has_two_connections_of_one_exchange(simulator: Simulate, collector: Start, kafka: str) -> None:
    market = simulator(coincap_rate=50)
    one = {"CRYPTOLAKE__VENUES__COINCAP__EXCHANGES": '["binance"]'}
    running = collector("coincap", kafka, simulated_urls(market.urls), **QUICK | {"rotate_after_s": 0.5}, **one)
    running.await_frames(10)
    most = 0
    until = time.monotonic() + 4
    while time.monotonic() < until:
        most = max(most, len(market.status()["clients"]))
    assert most == 1
    assert running.log().count("rotating") >= 3


@pytest.mark.parametrize("source", ["binance", "coincap"])
def test_a_second_collector_in_one_home_is_refused(
    simulator: Simulate, collector: Start, kafka: str, source: str
) -> None:
    market = simulator(rate=50, symbols=2, coincap_rate=50)
    first = collector(source, kafka, simulated_urls(market.urls))
    first.await_frames(1)
    second = collector(source, kafka, simulated_urls(market.urls))
    assert second.process is not None
    assert second.process.wait(timeout=20) == 1
    assert f"Another process (pid {first.process.pid}) uses" in second.log()  # type: ignore[union-attr]
    assert "Traceback" not in second.log()


def test_a_full_spool_closes_the_connection_until_there_is_room(
    simulator: Simulate, collector: Start, kafka: str, read_topic: Read
) -> None:
    market = simulator(rate=300, symbols=3)
    reader = read_topic("binance.trade")
    small = {"CRYPTOLAKE__SPOOL__SEGMENT_BYTES": 100_000, "CRYPTOLAKE__SPOOL__MAX_BYTES": 600_000}
    nobody = "127.0.0.1:1"
    running = collector("binance", nobody, simulated_urls(market.urls), **QUICK, **small)
    await_until(lambda: "is full" in running.log(), 60, "back-pressure")
    await_until(lambda: running.status().get("connected") is False, 10, "a closed connection")
    assert sum(path.stat().st_size for path in (running.home / "spool" / "binance").glob("*.seg")) <= 600_000
    assert running.terminate() < 10
    running.bootstrap = kafka
    running.start()
    await_until(lambda: running.status().get("connected"), 60, "connected again")
    everything_to_now_arrives(market, reader)
    fetched = [message for message in reader.messages if message.headers["origin"] == "backfill"]
    assert fetched  # what the closed connection missed
