"""Tools of the tests of bronze: collectors as processes, readers of topics, a venue that does what it is told."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kafka import KafkaConsumer, TopicPartition
from simulator_process import SimulatorProcess, simulated_urls

from bronze.topics import ensure_topics
from cryptolake.broker.local import LocalBroker
from lakehouse.settings import load_settings

REPO_ROOT = Path(__file__).resolve().parents[2]


def await_until(condition: Callable[[], Any], timeout_s: float, what: str, pause_s: float = 0.05) -> Any:
    """Give the first true value of a condition."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(pause_s)


@dataclass
class CollectorProcess:
    """A collector in a process of its own; `settings` are keys of section collector, or whole environment names."""

    source: str
    home: Path
    bootstrap: str
    urls: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        return self.home.with_name(f"{self.home.name}-{self.source}.log")

    def start(self, fault: str = "") -> CollectorProcess:
        names = {k if k.isupper() else f"CRYPTOLAKE__COLLECTOR__{k.upper()}": str(v) for k, v in self.settings.items()}
        environment = os.environ | self.urls | names | {"PYTHONPATH": str(REPO_ROOT), "CRYPTOLAKE_FAULT": fault}
        script = Path(__file__).with_name("run_collector.py")
        command = [sys.executable, str(script), self.source, str(self.home), self.bootstrap]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=REPO_ROOT, env=environment, stdout=log, stderr=log)
        return self

    def status(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.home / "run" / f"collector-{self.source}.json").read_bytes()))
        except FileNotFoundError:
            return {}

    def await_frames(self, frames: int, timeout_s: float = 60) -> None:
        assert self.process is not None
        pid = self.process.pid
        await_until(
            lambda: self.status().get("pid") == pid and self.status()["frames"] >= frames, timeout_s, self.log()
        )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self) -> float:
        """End it as a user would; give the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        assert code == 0, self.log()
        return time.monotonic() - began

    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""


@dataclass(frozen=True)
class Message:
    """One record of a topic."""

    key: str
    value: bytes
    headers: dict[str, str]
    timestamp_ms: int


class TopicReader:
    """Reads what is published to a topic after this was made."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        ensure_topics(load_settings(), bootstrap, [topic])
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, reconnect_backoff_max_ms=500
        )
        self._parts = [TopicPartition(topic, n) for n in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(self._parts)
        for part, offset in self._consumer.end_offsets(self._parts).items():
            self._consumer.seek(part, offset)
        self.messages: list[Message] = []
        self._ids: dict[str, list[int]] = defaultdict(list)
        self._counted = 0

    def read(self) -> list[Message]:
        """All messages up to now."""
        ends = self._consumer.end_offsets(self._parts)
        while any(self._consumer.position(part) < end for part, end in ends.items()):
            for records in self._consumer.poll(timeout_ms=200).values():
                for r in records:
                    headers = {name: value.decode() for name, value in r.headers}
                    self.messages.append(Message((r.key or b"").decode(), bytes(r.value), headers, r.timestamp))
        return self.messages

    def ids(self) -> dict[str, list[int]]:
        """The Binance ids of each symbol up to now, copies included."""
        for message in self.read()[self._counted :]:
            symbol, ids = binance_ids(message)
            self._ids[symbol] += ids
        self._counted = len(self.messages)
        self._ids.pop("", None)
        return self._ids

    def close(self) -> None:
        self._consumer.close()


def binance_ids(message: Message) -> tuple[str, list[int]]:
    """The symbol and the trade ids that a message brings; a frame that silver could not read brings none."""
    try:
        content = json.loads(message.value, object_pairs_hook=_without_doubled_keys)
    except (ValueError, RecursionError):
        return "", []
    if message.headers["origin"] == "backfill":
        return message.key, [row["id"] for row in content]
    trade = content.get("data") if isinstance(content, dict) else None
    if isinstance(trade, dict) and _is_whole(trade):
        return trade["s"], [trade["t"]]
    return "", []


def _without_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key twice")
    return content


def _is_whole(trade: dict[str, Any]) -> bool:
    """Whether silver could read it: the simulator's malformed frames may carry the id of a true trade."""
    try:
        if not type(trade["p"]) is type(trade["q"]) is str:
            return False
        price, quantity = Decimal(trade["p"]), Decimal(trade["q"])
        fits = 0 < price < 10**12 and 0 < quantity < 10**16 and price == round(price, 12)
        return fits and type(trade["t"]) is type(trade["T"]) is int and type(trade["m"]) is bool and bool(trade["s"])
    except (LookupError, TypeError, ArithmeticError):
        return False


def ledger_ids(rows: Iterable[dict[str, Any]]) -> dict[str, list[int]]:
    """The ids that the simulator gave to Binance trades."""
    ids: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["venue"] == "binance":
            ids[row["symbol"]].append(row["id"])
    return ids


QUICK = {"gap_wait_s": 0.5, "quiet_probe_s": 2, "backoff_s": 0.1, "stall_s": 3}  # a collector of Binance, in a hurry
Start = Callable[..., CollectorProcess]
Simulate = Callable[..., SimulatorProcess]
Read = Callable[[str], TopicReader]


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


Handler = Callable[[web.WebSocketResponse], Awaitable[None]]


class ScriptedVenue:
    """A websocket server on loopback whose connections do what a coroutine says; REST paths answer from a dict."""

    def __init__(self, handler: Handler, rest: dict[str, Callable[[web.Request], web.Response]] | None = None) -> None:
        self.connections = 0
        self.pongs: list[bytes] = []
        self._handler = handler
        self._rest = rest or {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False, autoclose=False)
        await socket.prepare(request)
        self.connections += 1
        try:
            await self._handler(socket)
            await socket.close()
        except (ConnectionError, RuntimeError):
            pass
        return socket

    async def _start(self) -> None:
        app = web.Application()
        for path, answer in self._rest.items():
            app.router.add_get(path, _answering(answer))
        app.router.add_get("/{path:.*}", self._websocket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def urls(self) -> dict[str, str]:
        rest = f"http://127.0.0.1:{self.port}"
        streams = dict.fromkeys(("ws_url", "coincap_ws_url", "coincap_price_ws_url"), self.url)
        return simulated_urls(streams | {"rest_url": rest, "coingecko_url": rest})

    def __enter__(self) -> ScriptedVenue:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def _answering(answer: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        return answer(request)

    return respond


@contextmanager
def broker_of_its_own(home: Path) -> Iterator[LocalBroker]:
    """A broker that a test may stop or kill, if it starts it again."""
    local = LocalBroker(load_settings(home=home))
    local.start()
    yield local
    local.stop()


@contextmanager
def topic_readers(bootstrap: str) -> Iterator[Callable[[str], TopicReader]]:
    """Readers of what a topic gets from now on."""
    readers: list[TopicReader] = []

    def open_reader(topic: str) -> TopicReader:
        readers.append(TopicReader(bootstrap, topic))
        return readers[-1]

    yield open_reader
    for reader in readers:
        reader.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond this: how a full disk looks to one process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
