"""The simulated Bybit speaks the venue's protocol: requests and their refusals, frames, keys, order, REST, limits."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
import websocket
from simulator_process import SimulatorProcess

from lakehouse.settings import load_settings
from silver.parse import parse_frame
from silver.rows import Frame, Rejected
from simulator.malformed import KINDS, unlike_any_trade
from simulator.market import Market

Simulate = Callable[..., SimulatorProcess]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(tmp_path_factory.mktemp("bybit"), {"bybit_rate": 100, "symbols": 8}).start()
    yield process
    process.end()


def asked(socket: websocket.WebSocket, **request: Any) -> dict[str, Any]:
    """Say something and give the answer; frames of trades that come before it are passed over."""
    socket.send(json.dumps(request))
    while True:
        message = json.loads(socket.recv())
        if "topic" not in message:
            return dict(message)


def frames(socket: websocket.WebSocket, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = json.loads(socket.recv())
        if "topic" in message:
            found.append(message)
    return found


def subscribed(process: SimulatorProcess, category: str, *symbols: str) -> websocket.WebSocket:
    socket = process.socket(f"/v5/public/{category}")
    answer = asked(socket, req_id="1", op="subscribe", args=[f"publicTrade.{symbol}" for symbol in symbols])
    assert answer["success"], answer
    return socket


def recent(process: SimulatorProcess, category: str, symbol: str, limit: int = 1000) -> list[dict[str, Any]]:
    body = process.get(f"/v5/market/recent-trade?category={category}&symbol={symbol}&limit={limit}").body
    assert (body["retCode"], body["retMsg"], body["result"]["category"]) == (0, "OK", category)
    return list(body["result"]["list"])


def test_requests_are_answered_and_refused_as_documented(market: SimulatorProcess) -> None:
    spot, linear = market.socket("/v5/public/spot"), market.socket("/v5/public/linear")
    good = asked(spot, req_id="a", op="subscribe", args=["publicTrade.BTCUSDT"])
    assert {**good, "conn_id": ""} == {
        "success": True, "ret_msg": "subscribe", "conn_id": "", "req_id": "a", "op": "subscribe",
    }  # fmt: skip
    assert asked(linear, op="subscribe", args=["publicTrade.BTCUSDT"])["ret_msg"] == ""
    refused = asked(spot, op="subscribe", args=["publicTrade.ETHUSDT", "publicTrade.NOSUCH"])
    assert (refused["success"], refused["ret_msg"]) == (False, "Invalid topic: [publicTrade.NOSUCH]")
    assert not asked(spot, op="subscribe", args=["publicTrade.BTCUSDT"] * 11)["success"]
    assert asked(linear, op="subscribe", args=["publicTrade.BTCUSDT"] * 11)["success"]
    assert not asked(linear, op="subscribe", args=["publicTrade.ETHBTC"])["success"]
    pong = asked(spot, op="ping", req_id="p")
    assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "p")
    # The request that was refused for one topic has subscribed to none of them.
    assert {frame["topic"] for frame in frames(spot, 20)} == {"publicTrade.BTCUSDT"}
    with pytest.raises(websocket.WebSocketBadStatusException):
        market.socket("/v5/public/option")


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_frames_keys_and_order_and_rest_agree_with_the_ledger(market: SimulatorProcess, category: str) -> None:
    socket = subscribed(market, category, "SOLUSDT", "XRPUSDT")
    found = [(frame, trade) for frame in frames(socket, 60) for trade in frame["data"]]
    rest = {row["execId"]: row for row in recent(market, category, "SOLUSDT")}
    ledger = {line["id"]: line for line in market.ledger(f"bybit-{category}")}
    assert all(frame["topic"] == f"publicTrade.{trade['s']}" for frame, trade in found)
    for _, trade in found:
        line = ledger[trade["i"]]
        told = (trade["s"], trade["p"], trade["v"], trade["S"].lower(), trade["T"] * 1000, trade["seq"])
        assert told == tuple(line[n] for n in ("symbol", "price", "quantity", "side", "event_time_us", "seq"))
        assert ("L" in trade) == (category == "linear")
    for _, each in groupby(sorted(found, key=lambda pair: pair[1]["s"]), key=lambda pair: pair[1]["s"]):
        numbers = [trade["seq"] for _, trade in each]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) < len(numbers)  # fills of one match share theirs
        assert any(later > before + 1 for before, later in pairwise(numbers))
    keys = [trade["i"] for _, trade in found]
    assert len(set(keys)) == len(keys)
    if category == "spot":
        assert all(len(key) == 19 for key in keys)
        assert any(int(later) > int(before) + 1 for before, later in pairwise(sorted(keys)))
    else:
        assert all(len(key) == 36 for key in keys)
    assert 0 < len(rest) <= {"spot": 60, "linear": 1000}[category]
    newest_first = [int(row["seq"]) for row in rest.values()]
    assert newest_first == sorted(newest_first, reverse=True)
    for key, row in rest.items():
        line = ledger[key]
        assert (row["price"], row["size"], int(row["time"]) * 1000) == (
            line["price"], line["quantity"], line["event_time_us"],
        )  # fmt: skip


def test_prices_are_those_of_binance_but_for_a_basis(market: SimulatorProcess) -> None:
    subscribed(market, "linear", "BTCUSDT")
    binance = float(market.api("trades?symbol=BTCUSDT&limit=1")[0]["price"])
    assert abs(float(recent(market, "linear", "BTCUSDT", 1)[0]["price"]) / binance - 1) < 0.003


def test_the_limit_of_calls_and_the_error_codes(simulator: Simulate) -> None:
    market = simulator(bybit_rate=10, symbols=1, limits="bybit_calls_per_5_s=5,bybit_ban_s=60")
    for path, why in (("category=spot&symbol=NOPE", "Symbol Invalid"), ("category=x&symbol=BTCUSDT", "Category")):
        body = market.get(f"/v5/market/recent-trade?{path}").body
        assert body["retCode"] == 10001
        assert why in body["retMsg"]
    market.fault(too_many_visits=1, rest_failures=1)
    assert market.get("/v5/market/recent-trade?category=spot&symbol=BTCUSDT").status == 503
    assert market.get("/v5/market/recent-trade?category=spot&symbol=BTCUSDT").body["retCode"] == 10006
    assert market.get("/v5/market/time").body["retCode"] == 0
    banned = market.get("/v5/market/time")
    assert (banned.status, banned.body) == (403, b"access too frequent")


def test_a_connection_that_neither_says_nor_gets_anything_is_cut(simulator: Simulate) -> None:
    market = simulator(bybit_rate=0, symbols=1, limits="bybit_silence_s=0.5")
    silent, alive = (market.socket("/v5/public/spot", timeout=5) for _ in range(2))
    silent.settimeout(0.1)
    closed = False
    while not closed:
        assert asked(alive, op="ping")["success"]
        try:
            closed = silent.recv() == ""
        except websocket.WebSocketTimeoutException:
            pass
        except websocket.WebSocketConnectionClosedException:
            closed = True
    assert asked(alive, op="ping")["success"]


def test_a_restart_goes_on_with_new_keys_and_still_lists_the_newest(simulator: Simulate) -> None:
    market = simulator(bybit_rate=200, symbols=2)
    frames(subscribed(market, "spot", "BTCUSDT", "ETHUSDT"), 20)
    market.end(signal.SIGKILL)
    before = market.ledger("bybit-spot")
    market.start()
    newest = [line["id"] for line in before if line["symbol"] == "ETHUSDT"][-1]
    assert newest in {row["execId"] for row in recent(market, "spot", "ETHUSDT")}
    frames(subscribed(market, "spot", "BTCUSDT"), 5)
    ledger = market.ledger("bybit-spot")
    assert len({line["id"] for line in ledger}) == len(ledger) > len(before)
    for _, lines in groupby(sorted(ledger, key=lambda line: line["symbol"]), key=lambda line: line["symbol"]):
        numbers = [line["seq"] for line in lines]
        assert numbers == sorted(numbers)


@pytest.fixture
def still_market(tmp_path: Path) -> Iterator[Market]:
    """A market in this process that makes trades when it is told to."""
    market = Market(load_settings().simulator, tmp_path, tmp_path / "ledger.jsonl")
    yield market
    market.close()


def test_a_tick_of_many_trades_is_split_into_frames_and_no_malformed_one_holds_a_true_key(still_market: Market) -> None:
    still_market.go_live_bybit("linear", ["BTCUSDT"])
    venue = still_market._venues["bybit-linear"]  # noqa: SLF001 - nothing else makes so many at once
    group = venue.make(2_500, 0, still_market.clock.now_us(), still_market.faults, set())
    trades = [json.loads(message.body)["data"] for message in group.messages]
    assert [len(each) for each in trades] == [1024, 1024, 452]
    # A match may lie across the cut, and its fills share their number on both sides.
    numbers = [trade["seq"] for each in trades for trade in each]
    assert numbers == sorted(numbers)
    keys = {json.loads(line)["id"] for line in group.lines}
    assert keys == {trade["i"] for each in trades for trade in each}
    for kind, corrupt in KINDS.items():
        body = corrupt(unlike_any_trade(group.messages[0].body))
        assert not any(key.encode() in body for key in keys), kind
        assert all(isinstance(row, Rejected) for row in parse_frame(_frame(body))), kind


def _frame(body: bytes) -> Frame:
    now_us = time.time_ns() // 1000
    return Frame("bybit-linear", "trade", "publicTrade.BTCUSDT", "S", 1, now_us, "stream", body)
