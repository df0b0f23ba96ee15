"""Bybit's collector against the simulator: what is not published lies in a recorded gap, and the gaps are narrow."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bronze_kit import CollectorProcess, TopicReader, await_until, topic_readers
from simulator_process import SimulatorProcess, simulated_urls

VENUES = ("bybit-spot", "bybit-linear")
QUICK = {"gap_wait_s": 0.3, "backoff_s": 0.1, "stall_s": 3}


@dataclass
class Published:
    """What the topics of both categories got."""

    trades: dict[str, TopicReader]
    gaps: dict[str, TopicReader]
    _read: int = 0
    keys: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    copies: int = 0

    def read(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every trade by venue and key, as the ledger would write it; copies must agree."""
        for venue, reader in self.trades.items():
            done = len(reader.messages)
            for message in reader.read()[done:]:
                for trade in _trades(message.value):
                    held = self.keys.setdefault((venue, trade["id"]), trade)
                    assert held == trade
                    self.copies += 1
        return self.keys

    def markers(self) -> list[dict[str, Any]]:
        return [{"venue": v, **json.loads(m.value)} for v, reader in self.gaps.items() for m in reader.read()]

    def lost(self, ledger: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The ledger's trades that were not published, from the first one published of their symbol on."""
        held = self.read()
        first: dict[tuple[str, str], int] = {}
        for (venue, _), trade in held.items():
            name = venue, trade["symbol"]
            first[name] = min(trade["seq"], first.get(name, trade["seq"]))
        return [
            line
            for line in ledger
            if (line["venue"], line["id"]) not in held
            and line["seq"] > first.get((line["venue"], line["symbol"]), line["seq"])
        ]


def _trades(payload: bytes) -> Iterator[dict[str, Any]]:
    content = json.loads(payload)
    if "retCode" in content:
        for row in content["result"]["list"]:
            yield _trade(row, "execId", "symbol", "price", "size", "side", "time", "seq")
    else:
        for row in content["data"]:
            yield _trade(row, "i", "s", "p", "v", "S", "T", "seq")


def _trade(row: dict[str, Any], *names: str) -> dict[str, Any]:
    key, symbol, price, quantity, side, time_ms, seq = (row[name] for name in names)
    return {
        "id": key, "symbol": symbol, "price": price, "quantity": quantity, "side": side.lower(),
        "event_time_us": int(time_ms) * 1000, "seq": int(seq),
    }  # fmt: skip


@pytest.fixture
def published(broker: str) -> Iterator[Published]:
    with topic_readers(broker) as read:
        yield Published({v: read(f"{v}.trade") for v in VENUES}, {v: read(f"{v}.gap") for v in VENUES})


@pytest.fixture
def collector(tmp_path: Path, broker: str) -> Iterator[Callable[..., CollectorProcess]]:
    started: list[CollectorProcess] = []

    def start(market: SimulatorProcess, **settings: object) -> CollectorProcess:
        urls = simulated_urls(market.urls)
        started.append(CollectorProcess("bybit", tmp_path / "home", broker, urls, QUICK | settings))
        return started[-1].start()

    yield start
    for each in started:
        each.kill()
        print(f"--- log of the collector\n{each.log()[-4000:]}")


def recovered(market: SimulatorProcess, published: Published) -> list[dict[str, Any]]:
    """Wait until all that the ledger says now is published, or lies in a marker; give what does."""
    ledger = [line for venue in VENUES for line in market.ledger(venue)]

    def left() -> list[dict[str, Any]]:
        markers = published.markers()
        return [line for line in published.lost(ledger) if not any(_covers(m, line) for m in markers)]

    try:
        await_until(lambda: not left(), 40, "everything", pause_s=0.3)
    except AssertionError:
        pytest.fail(f"lost outside of every marker: {left()[:5]}", pytrace=False)
    return published.lost(ledger)


def _covers(marker: dict[str, Any], line: dict[str, Any]) -> bool:
    named = (marker["venue"], marker["symbol"]) == (line["venue"], line["symbol"])
    return named and marker["from_time_us"] <= line["event_time_us"] <= marker["to_time_us"]


def test_short_cuts_and_kills_lose_nothing_and_leave_no_gap(
    simulator: Callable[..., SimulatorProcess], collector: Callable[..., CollectorProcess], published: Published
) -> None:
    seed = random.randrange(10**6)  # noqa: S311
    print(f"seed {seed}")
    drawn = random.Random(seed)  # noqa: S311
    market = simulator(bybit_rate=4, symbols=6, faults="duplicate_share=0.05,reorder_share=0.05")
    running = collector(market)
    running.await_frames(30)
    for _ in range(3):
        market.fault(cut=drawn.choice(["fin", "abort"]), venue="bybit")
        time.sleep(drawn.uniform(0.2, 1.0))
        running.kill()
        running.start()
        running.await_frames(10)
    assert recovered(market, published) == []
    assert published.markers() == []
    assert published.copies > len(published.keys)


def test_what_a_page_does_not_reach_is_a_gap_from_the_last_trade_held_to_its_oldest(
    simulator: Callable[..., SimulatorProcess], collector: Callable[..., CollectorProcess], published: Published
) -> None:
    market = simulator(bybit_rate=150, symbols=1)
    running = collector(market)
    running.await_frames(60)
    # Only what is on the wire is lost while nobody listens.
    market.fault(cut="fin", deaf_s=3.0, venue="bybit")
    await_until(lambda: len(published.markers()) >= 1, 30, "a marker")
    lost = recovered(market, published)
    assert {line["venue"] for line in lost} == {"bybit-spot"}  # a page of linear reaches further
    (marker,) = published.markers()
    spot = [line for line in market.ledger("bybit-spot") if line["symbol"] == "BTCUSDT"]
    inside = [line for line in spot if _covers(marker, line)]
    # Nothing beside what is lost lies in it but the two trades at its ends and what shares their milliseconds.
    assert len(lost) > 300
    assert len(inside) - len(lost) < 20
    assert marker["reason"]


def test_without_rest_the_whole_break_is_a_gap(
    simulator: Callable[..., SimulatorProcess], collector: Callable[..., CollectorProcess], published: Published
) -> None:
    market = simulator(bybit_rate=40, symbols=1)
    running = collector(market)
    running.await_frames(60)
    market.fault(rest_failures=10, too_many_visits=20)
    market.fault(cut="abort", deaf_s=1.0, venue="bybit")
    await_until(lambda: {m["venue"] for m in published.markers()} == set(VENUES), 30, "markers")
    lost = recovered(market, published)
    assert lost
    assert running.status()["reconnects"] >= 2


def test_a_heartbeat_keeps_a_quiet_connection_and_acknowledgements_go_no_further(
    simulator: Callable[..., SimulatorProcess],
    collector: Callable[..., CollectorProcess],
    published: Published,
    broker: str,
) -> None:
    market = simulator(bybit_rate=0, symbols=2, limits="bybit_silence_s=1")
    with topic_readers(broker) as read:
        control = read("bybit-spot.control")
        running = collector(
            market, stall_s=60, CRYPTOLAKE__VENUES__BYBIT__PING_INTERVAL_S=0.3,
            CRYPTOLAKE__VENUES__BYBIT__SPOT_SYMBOLS='["BTCUSDT","NOSUCH"]',
        )  # fmt: skip
        said = await_until(
            lambda: len(control.read()) > 8 and [json.loads(m.value) for m in control.messages], 30, "pongs"
        )
    assert [one["success"] for one in said[:2]] == [True, False]
    assert {one["ret_msg"] for one in said[2:]} == {"pong"}
    assert running.status()["reconnects"] == 0
    assert "Invalid topic: [publicTrade.NOSUCH]" in running.log()
    assert published.read() == {}
