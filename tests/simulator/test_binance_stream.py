"""The simulated Binance over real sockets: frames, live commands, errors, heartbeat, lifetime."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from simulator_process import SimulatorProcess

Start = Callable[..., SimulatorProcess]


@pytest.fixture(scope="module")
def binance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(
        tmp_path_factory.mktemp("binance"), {"rate": 300, "symbols": 20, "limits": "ping_interval_s=0.3"}
    ).start()
    yield process
    process.end()


def next_json(socket: websocket.WebSocket) -> Any:
    return json.loads(socket.recv())


def answer_to(socket: websocket.WebSocket, request: str | dict[str, Any]) -> Any:
    """Send a command and give its answer, passing over the trades before it."""
    socket.send(request if isinstance(request, str) else json.dumps(request))
    while True:
        frame = next_json(socket)
        if "e" not in frame and "stream" not in frame:
            return frame


def test_raw_frames_are_written_as_the_venue_writes_them(binance: SimulatorProcess, recorded_data: Path) -> None:
    with gzip.open(recorded_data / "binance_spot_btcusdt_trades.jsonl.gz", "rt") as tape:
        recorded = json.loads(json.loads(tape.readline())["frame"])["data"]
    socket = binance.socket("/ws/btcusdt@trade")
    frames = [next_json(socket) for _ in range(30)]
    socket.close()
    for before, frame in zip([None, *frames], frames, strict=False):
        assert list(frame) == list(recorded)
        assert {key: type(value) for key, value in frame.items()} == {k: type(v) for k, v in recorded.items()}
        assert frame["E"] >= frame["T"]
        assert len(frame["p"].partition(".")[2]) == 8
        assert before is None or (frame["t"], frame["T"]) >= (before["t"] + 1, before["T"])


def test_combined_frames_name_their_stream(binance: SimulatorProcess) -> None:
    socket = binance.socket("/stream?streams=btcusdt@trade/ethbtc@trade")
    seen: set[str] = set()
    while seen != {"btcusdt@trade", "ethbtc@trade"}:
        frame = next_json(socket)
        assert list(frame) == ["stream", "data"]
        assert frame["stream"] == frame["data"]["s"].lower() + "@trade"
        seen.add(frame["stream"])
    socket.close()


def test_microseconds_on_request(binance: SimulatorProcess) -> None:
    socket = binance.socket("/stream?streams=btcusdt@trade&timeUnit=MICROSECOND")
    trade = next_json(socket)["data"]
    socket.close()
    assert trade["T"] > 10**15
    assert trade["E"] >= trade["T"]


def test_subscriptions_change_on_a_living_connection(binance: SimulatorProcess) -> None:
    socket = binance.socket("/ws")
    subscribe = {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "solusdt@trade"], "id": 1}
    assert answer_to(socket, subscribe) == {"result": None, "id": 1}
    assert next_json(socket)["s"] in ("BTCUSDT", "SOLUSDT")
    assert answer_to(socket, {"method": "UNSUBSCRIBE", "params": ["solusdt@trade"], "id": "b"})["id"] == "b"
    listed = answer_to(socket, {"method": "LIST_SUBSCRIPTIONS", "id": None})
    assert listed == {"result": ["btcusdt@trade"], "id": None}
    assert {next_json(socket)["s"] for _ in range(20)} == {"BTCUSDT"}
    assert answer_to(socket, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 4})["result"] is None
    assert next_json(socket)["stream"] == "btcusdt@trade"
    socket.close()


def test_an_unknown_symbol_is_accepted_and_stays_silent(binance: SimulatorProcess) -> None:
    socket = binance.socket("/ws")
    assert answer_to(socket, {"method": "SUBSCRIBE", "params": ["nosuch@trade"], "id": 1}) == {"result": None, "id": 1}
    socket.settimeout(0.25)
    with pytest.raises(websocket.WebSocketTimeoutException):
        socket.recv()
    socket.close()


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("{not json", 3),
        ("[]", 2),
        ('{"method":"NONSENSE","params":[],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["btcusdt"],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":{}}', 2),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1,"x":1}', 2),
    ],
)
def test_bad_commands_are_answered_with_a_code(binance: SimulatorProcess, request_text: str, code: int) -> None:
    socket = binance.socket("/ws")
    answer = answer_to(socket, request_text)
    assert answer["code"] == code
    assert answer["msg"].startswith({2: "Invalid request: ", 3: "Invalid JSON: "}[code])
    socket.close()


def test_more_than_five_messages_a_second_end_the_connection(binance: SimulatorProcess) -> None:
    socket = binance.socket("/ws")
    answered = 0
    for number in range(6):
        socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        opcode, payload = socket.recv_data()
        answered += opcode == websocket.ABNF.OPCODE_TEXT
    assert answered == 5
    assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1008)


def test_the_server_pings_and_a_pong_keeps_the_connection(simulator: Start) -> None:
    process = simulator(rate=20, symbols=1, limits="ping_interval_s=0.2,pong_timeout_s=0.4")
    obedient, mute = process.socket("/ws/btcusdt@trade"), process.socket("/ws/btcusdt@trade")
    pings = 0
    while pings < 6:
        opcode, _ = obedient.recv_data(control_frame=True)
        pings += opcode == websocket.ABNF.OPCODE_PING
    # recv_data above answered every ping; the other one only reads
    frames = iter(mute.recv_frame, None)
    assert any(frame.opcode == websocket.ABNF.OPCODE_CLOSE for frame in frames)
    assert obedient.recv_data()[0] == websocket.ABNF.OPCODE_TEXT


def test_a_connection_ends_at_its_lifetime_after_a_notice(simulator: Start) -> None:
    process = simulator(rate=20, symbols=1, limits="connection_lifetime_s=1,shutdown_notice_s=0.6")
    socket = process.socket("/stream?streams=btcusdt@trade")
    seen = []
    while True:
        opcode, payload = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        seen.append(json.loads(payload))
    notices = [frame["data"] for frame in seen if frame["stream"] == "!serverShutdown"]
    assert [list(notice) for notice in notices] == [["e", "E"]]
    assert int.from_bytes(payload[:2], "big") == 1001


def test_the_asked_rate_arrives_with_contiguous_ids(simulator: Start) -> None:
    process = simulator(rate=5_000, symbols=20)
    names = [symbol["symbol"] for symbol in process.api("exchangeInfo")["symbols"]]
    assert len(names) == 20
    socket = process.socket("/stream?streams=" + "/".join(f"{name.lower()}@trade" for name in names))
    trades = [next_json(socket)["data"] for _ in range(12_000)]
    socket.close()
    span_s = (trades[-1]["T"] - trades[0]["T"]) / 1_000
    assert len(trades) / span_s == pytest.approx(5_000, rel=0.2)
    counts = {name: [trade["t"] for trade in trades if trade["s"] == name] for name in names}
    for ids in counts.values():
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(counts[names[0]]) > 3 * len(counts[names[5]])  # Zipf: six times as many


def test_a_client_that_does_not_read_is_aborted_and_the_market_goes_on(simulator: Start) -> None:
    process = simulator(rate=20_000, symbols=2, limits="buffered_bytes=100000")
    slow = process.socket("/ws/btcusdt@trade", sockopt=[(1, 8, 4_096)])  # SOL_SOCKET, SO_RCVBUF
    quick = process.socket("/ws/ethusdt@trade")
    while not process.status()["counts"].get("aborted_slow"):
        next_json(quick)
    before = next_json(quick)["t"]
    assert next_json(quick)["t"] == before + 1
    slow.shutdown()
    quick.shutdown()
