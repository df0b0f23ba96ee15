"""Faults on demand over real sockets: each is seen by the client, told by the ledger, and mended by REST."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from simulator_process import SimulatorProcess

from simulator.malformed import KINDS

Row = dict[str, Any]
TRADE = re.compile(
    rb'\{"e":"trade","E":\d+,"s":"BTCUSDT","t":(\d+),"p":"\d{1,9}\.\d{8}","q":"\d+\.\d{8}","T":\d+,"m":\w{4,5},"M":true\}'
)
STREAM = "/ws/btcusdt@trade"
CALM = {"drop_share": 0, "duplicate_share": 0, "reorder_share": 0, "malformed_share": 0, "cut_every_s": 0}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    simulator = SimulatorProcess(tmp_path_factory.mktemp("faults"), {"rate": 400, "symbols": 2, "coincap_rate": 200})
    yield simulator.start()
    simulator.end()


@pytest.fixture
def market(process: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """The market without faults; what a test switches on is off again after it."""
    process.fault(**CALM)
    yield process
    process.fault(**CALM)


def frames(socket: websocket.WebSocket, count: int) -> list[bytes]:
    return [socket.recv_data()[1] for _ in range(count)]


def ids(socket: websocket.WebSocket, count: int) -> list[int]:
    return [json.loads(frame)["t"] for frame in frames(socket, count)]


def ids_until_the_end(socket: websocket.WebSocket) -> list[int]:
    seen: list[int] = []
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        while True:
            seen += ids(socket, 1)
    return seen


def ledger_faults(process: SimulatorProcess, first: int, last: int) -> dict[int, str | None]:
    """The faults of the ids from `first` to `last`; every one of them must be in the ledger, once."""
    rows = [row for row in process.ledger("binance") if row["symbol"] == "BTCUSDT" and first <= row["id"] <= last]
    assert [row["id"] for row in rows] == list(range(first, last + 1))
    return {row["id"]: row["fault"] for row in rows}


def test_a_dropped_trade_is_in_ledger_and_rest_and_never_sent(market: SimulatorProcess) -> None:
    socket = market.socket(STREAM)
    ids(socket, 5)
    market.fault(drop_share=0.3)
    seen = ids(socket, 200)
    socket.close()
    faults = ledger_faults(market, seen[0], seen[-1])
    dropped = {trade_id for trade_id, fault in faults.items() if fault == "dropped"}
    assert len(dropped) > 20
    assert set(faults) - set(seen) == dropped
    told = market.api(f"historicalTrades?symbol=BTCUSDT&fromId={seen[0]}&limit=1000")
    assert dropped <= {row["id"] for row in told}


def test_a_duplicate_is_the_same_trade_sent_twice(market: SimulatorProcess) -> None:
    socket = market.socket(STREAM)
    ids(socket, 5)
    market.fault(duplicate_share=0.3)
    sent = frames(socket, 250)
    socket.close()
    counts = Counter(json.loads(frame)["t"] for frame in sent)
    del counts[max(counts)]  # its copy may still be on its way
    faults = ledger_faults(market, min(counts), max(counts))
    doubled = {trade_id for trade_id, fault in faults.items() if fault == "duplicated"}
    assert len(doubled) > 20
    assert {trade_id for trade_id, count in counts.items() if count == 2} == doubled
    assert len(set(sent)) == len(counts) + 1


def test_reordered_trades_arrive_once_and_late(market: SimulatorProcess) -> None:
    socket = market.socket(STREAM)
    ids(socket, 5)
    market.fault(reorder_share=0.3)
    seen = ids(socket, 250)
    market.fault(**CALM)
    seen += ids(socket, 20)
    socket.close()
    assert seen != sorted(seen)
    assert sorted(seen) == list(range(min(seen), max(seen) + 1))
    faults = ledger_faults(market, min(seen), max(seen))
    late = {trade_id for place, trade_id in enumerate(seen) if place and trade_id < max(seen[:place])}
    assert late
    assert {faults[trade_id] for trade_id in late} == {"reordered"}


def test_malformed_frames_come_beside_the_trades_and_never_in_place_of_one(market: SimulatorProcess) -> None:
    socket = market.socket(STREAM, skip_utf8_validation=True)
    ids(socket, 5)
    market.fault(malformed_share=0.5)
    trades: list[int] = []
    others: list[bytes] = []
    while len(others) < 100:
        (frame,) = frames(socket, 1)
        if shaped := TRADE.fullmatch(frame):
            trades.append(int(shaped[1]))
        else:
            others.append(frame)
    socket.close()
    assert trades == list(range(trades[0], trades[0] + len(trades)))
    assert set(ledger_faults(market, trades[0], trades[-1]).values()) == {None}
    assert len(set(others)) > len(KINDS)
    with pytest.raises(UnicodeDecodeError):
        b"".join(others).decode()


def test_malformed_frames_now(market: SimulatorProcess) -> None:
    before = market.status()["faults_committed"].get("malformed", 0)
    socket = market.socket(STREAM, skip_utf8_validation=True)
    market.fault(malformed=3)
    frames(socket, 20)
    socket.close()
    assert market.status()["faults_committed"]["malformed"] == before + 3


@pytest.mark.parametrize("kind", ["fin", "abort"])
def test_a_cut_ends_the_connection_and_rest_closes_the_gap(market: SimulatorProcess, kind: str) -> None:
    socket = market.socket(STREAM)
    seen = ids(socket, 20)
    market.fault(cut=kind, venue="binance")
    seen += ids_until_the_end(socket)
    socket = market.socket(STREAM)
    first = ids(socket, 1)[0]
    socket.close()
    gap = market.api(f"historicalTrades?symbol=BTCUSDT&fromId={seen[-1] + 1}&limit=1000")
    assert [row["id"] for row in gap][: first - seen[-1] - 1] == list(range(seen[-1] + 1, first))
    assert gap[0]["id"] == seen[-1] + 1


def test_cuts_come_by_themselves(market: SimulatorProcess) -> None:
    market.fault(cut_every_s=0.2)
    for _ in range(3):
        socket = market.socket(STREAM)
        ids_until_the_end(socket)


def test_a_stalled_connection_answers_pings_and_a_new_one_gets_data(market: SimulatorProcess) -> None:
    socket = market.socket(STREAM)
    last = ids(socket, 20)[-1]
    market.fault(stall=1.5)
    socket.ping(b"there?")
    while True:
        opcode, payload = socket.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_PONG:
            break
        last = json.loads(payload)["t"]
    assert payload == b"there?"
    next_id = market.status()["next_ids"]["BTCUSDT"]
    while market.status()["next_ids"]["BTCUSDT"] < next_id + 20:
        pass
    other = market.socket(STREAM)
    first_of_other = ids(other, 1)[0]
    other.close()
    resumed = ids(socket, 1)[0]  # when the stall is over
    socket.close()
    assert last < next_id < first_of_other < resumed
    faults = ledger_faults(market, last + 1, first_of_other - 1)
    assert faults[next_id] == "stalled"
    assert faults[next_id + 10] == "stalled"


def test_no_upgrade_is_answered_while_the_venue_is_deaf(market: SimulatorProcess) -> None:
    market.fault(deaf_s=0.6)
    with pytest.raises((websocket.WebSocketTimeoutException, TimeoutError)):
        market.socket(STREAM, timeout=0.2)
    socket = market.socket(STREAM)
    assert ids(socket, 1)
    socket.close()


def test_an_unknown_fault_is_refused(market: SimulatorProcess) -> None:
    for wrong in ({"explode": 1}, {"drop_share": 2}, {"cut": "softly"}):
        with pytest.raises(AssertionError, match="error"):
            market.fault(**wrong)


def test_coincap_frames_have_numbers_and_slugs_and_their_ledger_has_running_numbers(
    market: SimulatorProcess, recorded_data: Any
) -> None:
    with (recorded_data / "coincap_v2_trades.jsonl").open() as tape:
        recorded = json.loads(tape.readline())
    socket = market.socket("/trades/binance")
    sent = [json.loads(frame) for frame in frames(socket, 150)]
    socket.close()
    for row in sent:
        assert list(row) in (list(recorded), list(recorded)[:-1])
        assert row["base"] in ("bitcoin", "ethereum")
        assert row["quote"] == "tether"
        assert type(row["price"]) in (int, float)
        assert abs(row["timestamp"] / 1_000 - time.time()) < 30
    ledger = market.ledger("coincap-binance")
    assert [row["n"] for row in ledger] == list(range(1, len(ledger) + 1))
    told = [(row["symbol"], float(row["price"]), float(row["quantity"]), row["side"]) for row in ledger]
    assert [(f"{r['base']}/{r['quote']}", r["price"], r["volume"], r["direction"]) for r in sent] == told[: len(sent)]
    assert {row["id"] for row in ledger} == {None}


def test_coincap_drops_and_doubles_nothing(market: SimulatorProcess) -> None:
    market.fault(drop_share=0.4, duplicate_share=0.4)
    socket = market.socket("/trades/gemini")
    sent = [json.loads(frame) for frame in frames(socket, 100)]
    socket.close()
    ledger = market.ledger("coincap-gemini")[: len(sent)]
    assert [(row["price"], row["timestamp"] * 1_000) for row in sent] == [
        (float(row["price"]), row["event_time_us"]) for row in ledger
    ]
    assert {row["fault"] for row in ledger} == {None}
    assert all(row["timestamp"] % 1_000 == 0 for row in sent)


def test_an_exchange_that_coincap_does_not_have_is_refused(market: SimulatorProcess) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException):
        market.socket("/trades/nowhere")
