"""Connections to servers that do what no server should."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from bronze_kit import ScriptedVenue, await_until

from bronze.connection import Connection
from bronze.feed import Feed, backoff_s
from bronze.rest import RestClient, RestError
from bronze.spool import Spool, spool_folder
from bronze.streams import Streams
from bronze.venues import venue_of
from bronze.venues.protocol import FeedSpec, Heartbeat
from lakehouse.settings import CollectorSettings, Settings, load_settings

MIB = 1024 * 1024


@pytest.fixture
def times() -> CollectorSettings:
    quick = {"connect_timeout_s": 0.5, "stall_s": 0.7, "close_timeout_s": 0.5, "max_frame_bytes": 100_000}
    return load_settings().collector.model_copy(update=quick)


def connected(url: str, times: CollectorSettings, **options: Any) -> tuple[Connection, list[bytes]]:
    frames: list[bytes] = []

    def sink(connection: Connection, payload: bytes, _: int) -> None:
        frames.append(payload)
        connection.note_data()

    connection = Connection(FeedSpec("binance", url), sink, times, **options)
    connection.start()
    return connection, frames


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server that handles one connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            client, _ = listener.accept()
            answer(client)
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


@pytest.mark.experiment(
    11,
    fault="a server takes the connection and never answers the upgrade",
    holds="I9: given up within 3 s at a timeout of 0.5 s",
)
def test_a_server_that_never_answers_the_upgrade_is_given_up(times: CollectorSettings) -> None:
    with raw_server(lambda client: time.sleep(5)) as url:
        began = time.monotonic()
        connection, _ = connected(url, times)
        connection.join(4)
        assert not connection.is_alive()
        assert time.monotonic() - began < 3
        assert connection.opened_at is None


@pytest.mark.experiment(
    11,
    fault="a server answers the upgrade byte by byte, without end",
    holds="I9: given up within 3 s at a timeout of 0.5 s",
)
def test_a_server_that_answers_the_upgrade_byte_by_byte_is_given_up(times: CollectorSettings) -> None:
    def trickle(client: socket.socket) -> None:
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000:
            client.send(bytes([byte]))
            time.sleep(0.05)

    with raw_server(trickle) as url:
        began = time.monotonic()
        connection, _ = connected(url, times)
        connection.join(4)
        assert not connection.is_alive()
        assert time.monotonic() - began < 3


async def sent(socket: web.WebSocketResponse, *messages: str | bytes) -> None:
    for message in messages:
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
    async for _ in socket:
        pass


def test_bytes_arrive_as_they_were_sent(times: CollectorSettings) -> None:
    payloads = [b"", b"\xff\xfe not utf-8", b"\x00", b"x" * 70_000, "é".encode()]

    async def handler(socket: web.WebSocketResponse) -> None:
        writer = socket._writer  # noqa: SLF001 - the only way to send text that is no UTF-8
        for payload in payloads:
            await writer.send_frame(payload, aiohttp.WSMsgType.TEXT)  # type: ignore[union-attr]
        await sent(socket)

    with ScriptedVenue(handler) as venue:
        connection, frames = connected(venue.url, times)
        await_until(lambda: len(frames) == len(payloads), 5, "all frames")
        connection.close("test")
        connection.join(3)
    assert frames == payloads


def test_pings_are_answered_but_do_not_count_as_data(times: CollectorSettings) -> None:
    pongs: list[bytes] = []

    async def handler(socket: web.WebSocketResponse) -> None:
        await socket.send_str("data")
        for number in range(100):
            await socket.ping(b"%d" % number)
            message = await socket.receive(2)
            if message.type is not aiohttp.WSMsgType.PONG:
                return
            pongs.append(bytes(message.data))
            await asyncio.sleep(0.05)

    with ScriptedVenue(handler) as venue:
        connection, frames = connected(venue.url, times)
        connection.join(4)
    assert frames == [b"data"]
    assert "no data for 0.7 s" in connection.reason
    assert pongs[:5] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("message", ["", '{"op":"ping"}'])
def test_our_pings_keep_their_interval(times: CollectorSettings, message: str) -> None:
    pings: list[float] = []

    async def handler(socket: web.WebSocketResponse) -> None:
        while True:
            await socket.send_str("data")
            try:
                heard = await socket.receive(0.05)
            except TimeoutError:
                continue
            if heard.type is aiohttp.WSMsgType.PING if not message else heard.data == message:
                pings.append(time.monotonic())
            if heard.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                return

    with ScriptedVenue(handler) as venue:
        connection, _ = connected(venue.url, times, heartbeat=Heartbeat(0.2, message))
        await_until(lambda: len(pings) >= 3, 4, "pings")
        connection.close("test")
        connection.join(3)
    assert all(later - earlier > 0.15 for earlier, later in pairwise(pings))


@pytest.mark.experiment(
    25,
    fault="a message of 64 MiB announced, and one in 40 parts beyond the cap",
    holds="the connection ends before it is read",
)
@pytest.mark.parametrize("fragmented", [False, True])
def test_a_message_beyond_the_cap_ends_the_connection_before_it_is_read(
    times: CollectorSettings, fragmented: bool
) -> None:
    async def handler(socket: web.WebSocketResponse) -> None:
        await socket.send_str("data")
        transport = cast(Any, socket._req).transport  # noqa: SLF001 - aiohttp would not send such frames
        if fragmented:
            for number in range(40):
                opcode = 0x01 if number == 0 else 0x00
                transport.write(bytes([opcode, 126]) + (10_000).to_bytes(2, "big") + b"x" * 10_000)
        else:
            transport.write(bytes([0x81, 127]) + (64 * 1024 * 1024).to_bytes(8, "big") + b"x" * 1000)
        await sent(socket)

    with ScriptedVenue(handler) as venue:
        began = time.monotonic()
        connection, frames = connected(venue.url, times)
        connection.join(4)
        assert time.monotonic() - began < 2
    assert frames == [b"data"]
    assert "MessageTooLongError" in connection.reason


def test_what_the_venue_sent_before_it_heard_goodbye_is_taken(times: CollectorSettings) -> None:
    async def late(socket: web.WebSocketResponse) -> None:
        await socket.send_str("first")
        while (await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
        await socket.send_str("on its way")

    with ScriptedVenue(late) as venue:
        connection, frames = connected(venue.url, times)
        await_until(lambda: frames == [b"first"], 3, "the first frame")
        connection.close("test")
        connection.join(3)
        assert connection.reason == "test"
    assert frames == [b"first", b"on its way"]


@pytest.mark.experiment(
    25,
    fault="messages of 600 kB and 1 MiB",
    holds="go out as their first 64 KiB, length and sha256, and the next message is taken",
)
@pytest.mark.parametrize("size", [600_000, MIB])
def test_a_message_over_512_kib_goes_out_as_its_head(settings: Settings, size: int) -> None:
    async def handler(socket: web.WebSocketResponse) -> None:
        await sent(socket, b"x" * size, '{"result":null,"id":1}')

    with ScriptedVenue(handler) as venue, Spool(spool_folder(settings, "binance"), settings.spool) as spool:
        streams = Streams(venue_of("binance"), spool, settings)
        connection = Connection(FeedSpec("binance", venue.url), streams.accept, settings.collector)
        connection.start()
        await_until(lambda: connection.sequence == 2, 5, "both messages")
        connection.close("test")
        connection.join(3)
        big, control = (record for _, _, record in spool.read(spool.acked))
    marker = json.loads(big.payload)
    assert (big.channel, big.topic, big.sequence) == ("oversize", "binance.oversize", 0)
    assert marker["length"] == size
    assert len(marker["head_base64"]) == 87_384  # 64 KiB
    assert (control.channel, control.payload, control.sequence) == ("control", b'{"result":null,"id":1}', 1)


@pytest.mark.experiment(
    25,
    fault="64 MiB of open brackets in one frame",
    holds="the connection ends, and the trades go on over the next",
)
def test_64_mib_end_the_connection_and_the_trades_go_on_over_the_next(settings: Settings) -> None:
    trade = '{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2","T":1723161255342,"m":true,"M":true}'

    async def handler(socket: web.WebSocketResponse) -> None:
        await socket.send_str(trade % venue.connections)
        if venue.connections == 1:
            await socket.send_bytes(b"[" * (64 * MIB))
        await sent(socket)

    times = settings.collector.model_copy(update={"backoff_s": 0.05})
    with ScriptedVenue(handler) as venue, Spool(spool_folder(settings, "binance"), settings.spool) as spool:
        streams = Streams(venue_of("binance"), spool, settings)
        feed = Feed(
            FeedSpec("binance", venue.url),
            lambda spec: Connection(spec, streams.accept, times),
            spool.has_room,
            times,
            overlap=True,
        )
        feed.start()
        await_until(lambda: len(list(spool.read(spool.acked))) == 2, 10, "a trade of the second connection")
        assert "MessageTooLongError: a frame of 67108864 bytes" in feed.last_reason
        feed.stop()
        feed.join(5)
        held = [record.payload.decode() for _, _, record in spool.read(spool.acked)]
    assert held == [trade % 1, trade % 2]


def test_backoff_grows_to_its_bound_and_is_never_twice_the_same(times: CollectorSettings) -> None:
    means = [sum(backoff_s(n, times) for _ in range(200)) / 200 for n in (1, 2, 3, 30)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(times.backoff_s, rel=0.2)
    assert means[-1] == pytest.approx(times.backoff_max_s, rel=0.2)
    assert len({backoff_s(1, times) for _ in range(20)}) == 20


def rest_client(venue: ScriptedVenue, stop: threading.Event, weight: int = 6000) -> RestClient:
    return RestClient(f"http://127.0.0.1:{venue.port}", weight, 2, stop)


async def no_socket(_: web.WebSocketResponse) -> None:
    pass


def test_rest_waits_as_long_as_the_venue_says() -> None:
    answers = [
        web.Response(status=429, headers={"Retry-After": "1"}, text='{"code":-1003,"msg":"Too many requests"}'),
        web.Response(text="[]", headers={"X-MBX-USED-WEIGHT-1M": "25"}),
    ]
    with ScriptedVenue(no_socket, {"/api": lambda _: answers.pop(0)}) as venue:
        client = rest_client(venue, threading.Event())
        with pytest.raises(RestError, match="HTTP 429: Too many requests") as refused:
            client.get("/api", {}, 25)
        assert refused.value.retry_after_s == 1
        began = time.monotonic()
        assert client.get("/api", {}, 25) == b"[]"
        assert time.monotonic() - began > 0.9
        client.close()


def test_rest_asks_no_more_than_its_weight_and_stops_when_told() -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.Response(text="[]", headers={"X-MBX-USED-WEIGHT-1M": "100"})

    stop = threading.Event()
    with ScriptedVenue(no_socket, {"/api": answer}) as venue:
        client = rest_client(venue, stop, weight=110)
        if time.time() % 60 > 55:
            time.sleep(6)  # not over the end of a minute
        client.get("/api", {"fromId": 7}, 25)
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(RestError, match="stopping"):
            client.get("/api", {}, 25)
    assert asked == ["/api?fromId=7"]


def test_rest_names_what_went_wrong() -> None:
    with ScriptedVenue(
        no_socket, {"/api": lambda _: web.Response(status=400, text='{"code":-1121,"msg":"Bad."}')}
    ) as v:
        client = rest_client(v, threading.Event())
        with pytest.raises(RestError, match=r"HTTP 400: Bad\."):
            client.get("/api", {}, 1)
    with pytest.raises(RestError, match=r"ConnectionRefusedError|RemoteDisconnected"):
        client.get("/api", {}, 1)
