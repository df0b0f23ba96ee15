"""Collectors as processes, a real broker, the real simulator: nothing is lost whatever dies."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest
from bronze_kit import QUICK, Read, Simulate, Start, await_until, everything_to_now_arrives, ledger_ids
from experiments import Experiment
from simulator_process import simulated_urls

FAULTS = "duplicate_share=0.02,reorder_share=0.02,drop_share=0.02,malformed_share=0.01,cut_every_s=4"


@pytest.mark.experiment(
    1,
    fault="kill -9 of the collector at random, while the venue cuts, drops, doubles, reorders and sends garbage",
    holds="I1 I4: every trade of the ledger is in Kafka; further copies in bronze only",
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
    10,
    fault="the venue's connection ended properly and reset",
    holds="I1: ids are contiguous again, by REST",
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
    symbols = ledger_ids(market.ledger()).keys()
    for message in fills:
        assert message.headers["channel"] == "trade"
        assert message.key in symbols
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
