"""Polled sources and prices, as processes against the real simulator and a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bronze_kit import CollectorProcess, ScriptedVenue, TopicReader, await_until, topic_readers
from simulator_process import SimulatorProcess, simulated_urls

Start = Callable[..., CollectorProcess]
Simulate = Callable[..., SimulatorProcess]
Read = Callable[[str], TopicReader]

TICKERS = {"CRYPTOLAKE__VENUES__TICKERS__INTERVAL_S": 0.2, "CRYPTOLAKE__VENUES__TICKERS__TOP": 3}
COINGECKO = {
    "CRYPTOLAKE__VENUES__COINGECKO__INTERVAL_S": 0.2,
    "CRYPTOLAKE__VENUES__COINGECKO__MARKETS_INTERVAL_S": 0.5,
    "CRYPTOLAKE__VENUES__COINGECKO__CALLS_PER_MINUTE": 100_000,
}
COINCAP = {
    "CRYPTOLAKE__VENUES__COINCAP__API_KEY": "simulated",
    "CRYPTOLAKE__VENUES__COINCAP__EXCHANGES": '["bitso"]',
    "CRYPTOLAKE__SIMULATOR__COINCAP_PRICES_EVERY_S": 0.2,
}
QUICK = {"backoff_s": 0.2, "backoff_max_s": 0.5}
UNLIMITED = "coingecko_calls_per_minute=100000"


@pytest.fixture
def read_topic(broker: str) -> Iterator[Read]:
    with topic_readers(broker) as open_reader:
        yield open_reader


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Start]:
    """Starts collectors as processes on one home."""
    started: list[CollectorProcess] = []

    def start(source: str, bootstrap: str, urls: dict[str, str], **settings: object) -> CollectorProcess:
        started.append(CollectorProcess(source, tmp_path / "home", bootstrap, urls, QUICK | settings))
        return started[-1].start()

    yield start
    for each in started:
        each.kill()
        print(f"--- log of {each.source}\n{each.log()[-4000:]}")


def bodies(reader: TopicReader, key: str, at_least: int) -> list[Any]:
    """What is published under a key, awaited: a collector counts a frame when it is in its spool."""

    def published() -> list[Any]:
        found = [json.loads(message.value) for message in reader.read() if message.key == key]
        return found if len(found) >= at_least else []

    return await_until(published, 30, f"{at_least} of {key}")


def received_after(reader: TopicReader, at_us: int) -> list[int]:
    received = (int(message.headers["received_at_us"]) for message in reader.read())
    return [each for each in received if each > at_us]


def test_the_tickers_of_the_greatest_pairs_are_polled_and_a_refusal_is_waited_for(
    simulator: Simulate, collector: Start, broker: str, read_topic: Read
) -> None:
    market = simulator(rate=50, symbols=8)
    reader, control = read_topic("binance.ticker"), read_topic("binance.control")
    running = collector("tickers", broker, simulated_urls(market.urls), **TICKERS)
    first, second = bodies(reader, "ticker/24hr", 2)[:2]
    await_until(lambda: running.status().get("connected"), 10, "the status")
    all_pairs = [row for row in market.api("ticker/24hr") if row["symbol"].endswith("USDT")]
    greatest = sorted(all_pairs, key=lambda row: -float(row["quoteVolume"]))[:3]
    assert [row["symbol"] for row in first] == [row["symbol"] for row in greatest]
    assert first[0].keys() == greatest[0].keys()
    assert second[0]["closeTime"] >= first[0]["closeTime"]
    headers = reader.messages[0].headers
    assert (headers["venue"], headers["channel"], headers["origin"]) == ("binance", "ticker", "stream")

    for kind in ("429", "418", "403"):
        market.fault(refuse=kind, retry_after_s=2)
        refused = await_until(lambda k=kind: [m for m in control.read() if f"HTTP {k}" in m.key], 15, kind)[-1]
        assert refused.key == f"HTTP {kind} ticker/24hr"
        refused_at_us = int(refused.headers["received_at_us"])
        answered_at_us = await_until(lambda at_us=refused_at_us: received_after(reader, at_us), 30, "an answer")
        assert min(answered_at_us) - refused_at_us > 1_900_000
    assert "HTTP 418: Too many requests; current limit is exceeded.; again in 2.0 s" in running.log()
    assert {m.headers["session_id"] for m in reader.messages} == {m.headers["session_id"] for m in control.messages}
    assert running.terminate() < 10


def test_coingecko_is_polled_and_what_is_no_answer_goes_on_for_silver_to_judge(
    simulator: Simulate, collector: Start, broker: str, read_topic: Read
) -> None:
    market = simulator(rate=50, symbols=8, limits=UNLIMITED)
    reader = read_topic("coingecko.price")
    running = collector("coingecko", broker, simulated_urls(market.urls), **COINGECKO)
    simple, listed = bodies(reader, "simple/price", 1)[0], bodies(reader, "coins/markets", 1)[0]
    assert set(simple) == {row["id"] for row in listed} >= {"bitcoin", "ripple", "binancecoin"}
    assert isinstance(simple["bitcoin"]["last_updated_at"], int)
    assert listed[0]["last_updated"].endswith("Z")
    for kind, told in (("text", "Unauthorized"), ("deprecation", "We are deprecating")):
        market.fault(refuse=kind, source="coingecko", times=9)
        await_until(lambda t=told: [m for m in reader.read() if t.encode() in m.value], 15, kind)
    await_until(lambda: "answers again" in running.log(), 10, "an answer")
    assert "not what was asked for: Unauthorized" in running.log()
    assert 'names none of the coins asked for: {"data":{"message":"We are deprecating' in running.log()
    market.fault(refuse="429", source="coingecko", retry_after_s=60)
    await_until(lambda: "again in 60.0 s" in running.log(), 10, "the limit")
    await_until(lambda: "HTTP 429" in running.status()["problem"], 10, "the limit in the status")
    assert running.status()["connected"] is False
    assert running.terminate() < 10  # while it waits


def test_coincap_prices_come_with_a_key_and_a_refusal_is_told_and_tried_again(
    simulator: Simulate, collector: Start, broker: str, read_topic: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLAKE__SIMULATOR__COINCAP_PRICES_EVERY_S", "0.2")
    market = simulator(symbols=8, coincap_rate=20)
    reader, control = read_topic("coincap.price"), read_topic("coincap.control")
    market.fault(refuse="403", source="coincap")
    market.fault(refuse="text", source="coincap")
    market.fault(refuse="deprecation", source="coincap")
    running = collector("coincap", broker, simulated_urls(market.urls), **COINCAP)
    await_until(lambda: len(reader.read()) >= 3, 30, "prices")
    prices = json.loads(reader.messages[0].value)
    assert all(isinstance(price, str) and float(price) > 0 for price in prices.values())
    assert reader.messages[0].headers["venue"] == "coincap"
    log = running.log()
    assert "HTTP 403" in log
    assert (
        "refused: Unauthorized: API key missing or out of credit (is CRYPTOLAKE__VENUES__COINCAP__API_KEY right" in log
    )
    assert "refused: We are deprecating" in log
    assert "simulated" not in log
    assert [m.value[:12] for m in control.read()] == [b"Unauthorized", b'{"data":{"me']
    market.fault(cut="abort", venue="coincap-prices")
    held = len(reader.read())
    await_until(lambda: len(reader.read()) > held + 2, 20, "prices after a cut")
    assert running.terminate() < 10


def test_sigterm_with_the_broker_down_keeps_every_answer_for_the_next_start(
    simulator: Simulate, collector: Start, broker: str, read_topic: Read
) -> None:
    market = simulator(symbols=3, limits=UNLIMITED)
    reader = read_topic("coingecko.price")
    running = collector("coingecko", "127.0.0.1:1", simulated_urls(market.urls), **COINGECKO)
    running.await_frames(4)
    assert running.terminate() < 10
    session = len({message.headers["session_id"] for message in reader.read()})
    assert session == 0
    market.end()  # nothing new comes
    running.bootstrap = broker
    running.start()
    await_until(lambda: len(reader.read()) >= 4, 30, "what was in the spool")
    sequences = [int(message.headers["sequence"]) for message in reader.messages]
    assert sorted(sequences) == list(range(len(sequences)))
    assert running.terminate() < 10


def test_a_demo_key_goes_into_a_header_and_nowhere_else(collector: Start, broker: str) -> None:
    asked: list[web.Request] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({} if "simple" in request.path else [])

    paths = {f"/api/v3/{path}": answer for path in ("simple/price", "coins/markets")}

    async def nobody(_: web.WebSocketResponse) -> None:
        return None

    with ScriptedVenue(nobody, paths) as venue:
        key = {"CRYPTOLAKE__VENUES__COINGECKO__API_KEY": "CG-s3cret"}
        running = collector("coingecko", broker, venue.urls, **COINGECKO, **key)
        running.await_frames(2)
        assert running.terminate() < 10
    assert {request.headers["x-cg-demo-api-key"] for request in asked} == {"CG-s3cret"}
    assert "s3cret" not in " ".join(str(request.rel_url) for request in asked)
    assert asked[0].query["precision"] == "full"
    assert "s3cret" not in running.log()
