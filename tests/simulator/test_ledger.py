"""The ledger: written before the send, complete, and whole again after kill -9."""

from __future__ import annotations

import contextlib
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websocket
from simulator_process import SimulatorProcess

from lakehouse.errors import CryptolakeError
from lakehouse.settings import load_settings
from simulator.market import Market

Start = Callable[..., SimulatorProcess]
Row = dict[str, Any]
STREAMS = "/stream?streams=btcusdt@trade/ethusdt@trade/bnbbtc@trade"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBBTC")


def received(socket: websocket.WebSocket, count: int) -> list[Row]:
    return [json.loads(socket.recv())["data"] for _ in range(count)]


def as_ledger(trade: Row) -> Row:
    """A trade of the stream or of REST as the ledger has it."""
    streamed = "e" in trade
    return {
        "id": trade["t" if streamed else "id"],
        "price": trade["p" if streamed else "price"],
        "quantity": trade["q" if streamed else "qty"],
        "side": "sell" if trade["m" if streamed else "isBuyerMaker"] else "buy",
        "event_time_us": trade["T" if streamed else "time"] * 1_000,
    }


def by_id(rows: list[Row], symbol: str) -> dict[int, Row]:
    """The ledger's trades of a symbol; no id may be there twice."""
    found = {row["id"]: {key: row[key] for key in as_ledger_keys} for row in rows if row["symbol"] == symbol}
    assert len(found) == sum(row["symbol"] == symbol for row in rows)
    return found


as_ledger_keys = ("id", "price", "quantity", "side", "event_time_us")


def test_a_trade_is_in_the_ledger_before_it_arrives(simulator: Start) -> None:
    process = simulator(rate=300, symbols=20)
    socket = process.socket(STREAMS)
    for _ in range(60):
        (trade,) = received(socket, 1)
        assert as_ledger(trade) == by_id(process.ledger("binance"), trade["s"])[trade["t"]]


def test_killed_between_ledger_and_send_the_ledger_knows_more_than_the_client(tmp_path: Path) -> None:
    killed = {"CRYPTOLAKE_FAULT": "simulator_ledger_written:20"}
    process = SimulatorProcess(tmp_path / "home", {"rate": 2_000, "symbols": 1}, environment=killed).start()
    socket = process.socket("/ws/btcusdt@trade")
    told: list[int] = []
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        while True:
            told.append(json.loads(socket.recv())["t"])
    assert process.end() == -signal.SIGKILL
    ids = list(by_id(process.ledger("binance"), "BTCUSDT"))
    assert ids[: len(told)] == told
    assert len(ids) > len(told) > 0


def test_trades_go_on_without_a_client_and_can_be_asked_for(simulator: Start) -> None:
    process = simulator(rate=500, symbols=20)
    socket = process.socket("/ws/btcusdt@trade")
    first = json.loads(socket.recv())["t"]
    socket.close()
    while process.status()["next_ids"]["BTCUSDT"] < first + 300:
        pass
    assert process.status()["clients"] == []
    told = process.api(f"historicalTrades?symbol=BTCUSDT&fromId={first}&limit=300")
    ledger = by_id(process.ledger("binance"), "BTCUSDT")
    assert [as_ledger(row) for row in told] == [ledger[first + place] for place in range(300)]
    assert process.end(signal.SIGTERM) == 0
    ids = sorted(by_id(process.ledger("binance"), "BTCUSDT"))
    assert ids == list(range(first, ids[-1] + 1))


def test_after_kill_9_ids_go_on_without_a_hole_and_nothing_that_was_told_changes(simulator: Start) -> None:
    seed = random.SystemRandom().randrange(1_000)
    print(f"seed {seed}")
    dice = random.Random(seed)  # noqa: S311
    process = simulator(rate=2_000, symbols=20, seed=seed)
    told: list[Row] = []
    exchange_numbers = []
    for _ in range(3):
        socket, coincap = process.socket(STREAMS), process.socket("/trades/gdax")
        told += received(socket, dice.randrange(200, 1_500))
        coincap.recv()
        process.end(signal.SIGKILL)
        exchange_numbers.append(process.ledger("coincap-gdax")[-1]["n"])
        process.start()
    assert exchange_numbers == sorted(set(exchange_numbers))
    numbers = [row["n"] for row in process.ledger("coincap-gdax")]
    assert numbers == list(range(1, len(numbers) + 1))
    for symbol in SYMBOLS:
        ledger = by_id(process.ledger("binance"), symbol)
        ids = list(ledger)
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert [as_ledger(trade) for trade in told if trade["s"] == symbol] == [
            ledger[trade["t"]] for trade in told if trade["s"] == symbol
        ]
        rest = process.api(f"historicalTrades?symbol={symbol}&fromId={ids[0]}&limit=1000")
        assert [as_ledger(row) for row in rest if row["id"] in ledger] == list(ledger.values())[: len(rest)]
        times = [row["event_time_us"] for row in ledger.values()]
        assert times == sorted(times)


def test_a_torn_ledger_and_a_lost_store_are_mended(simulator: Start) -> None:
    process = simulator(rate=1_000, symbols=20)
    received(process.socket(STREAMS), 500)
    process.end(signal.SIGKILL)
    store = process.home / "simulator" / "trades.bin"
    store.write_bytes(store.read_bytes()[: -10 * 43 - 7])
    whole = process.ledger_path.read_bytes()
    process.ledger_path.write_bytes(whole + b'{"venue":"binance","symbol":"BTCUSDT","id":3000')
    process.start()
    received(process.socket(STREAMS), 300)
    process.end()
    assert process.ledger_path.read_bytes().startswith(whole)
    for symbol in SYMBOLS:
        ids = list(by_id(process.ledger("binance"), symbol))
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert store.stat().st_size == 43 * len(process.ledger("binance"))


def test_a_home_and_a_ledger_belong_to_one_market(simulator: Start, tmp_path: Path) -> None:
    process = simulator(rate=500, symbols=20)
    received(process.socket(STREAMS), 50)
    process.end()
    folder, ledger, settings = process.home / "simulator", process.ledger_path, load_settings().simulator
    Market(settings, folder, ledger).close()
    with pytest.raises(CryptolakeError, match="seed"):
        Market(settings.model_copy(update={"seed": 99}), folder, ledger)
    with pytest.raises(CryptolakeError, match="did not write them"):
        Market(settings, tmp_path / "another home", ledger)
    ledger.write_bytes(ledger.read_bytes()[:1_000])
    with pytest.raises(CryptolakeError, match="shorter"):
        Market(settings, folder, ledger)


def test_a_users_mistake_ends_in_one_line(simulator: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    port = simulator(symbols=1).urls["port"]
    capfd.readouterr()
    for mistake in ({"port": port}, {"symbols": 0, "faults": "drop_share=often"}):
        with pytest.raises(AssertionError, match="ended with 1"):
            SimulatorProcess(tmp_path / "home", dict(mistake)).start()
        said = capfd.readouterr().err.strip().splitlines()
        assert len(said) == 1
        assert said[0].startswith("simulator: ")
