"""The websocket endpoints: Binance's raw and combined streams with their live commands, and CoinCap's trades."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import Any

from aiohttp import WSMsgType, web

from simulator.coincap import EXCHANGES
from simulator.connections import Connection
from simulator.journal import BINANCE
from simulator.market import Market
from simulator.wire import combined, compact, ping_frame

_INVALID_REQUEST, _INVALID_JSON = 2, 3
_POLICY_VIOLATION = 1008
_GOING_AWAY = 1001
_DEAF_LOOK_S = 0.05
_LONGEST_TEXT_ID = 36
_SHUTDOWN_STREAM = "!serverShutdown"


class Sockets:
    """Handlers of the websocket routes.

    Args:
        market: whose trades go out.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._limits = market.settings.limits

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        return [
            web.get("/ws", self.raw),
            web.get("/ws/{streams:.+}", self.raw),
            web.get("/stream", self.combined),
            web.get("/trades/{exchange}", self.coincap),
        ]

    async def raw(self, request: web.Request) -> web.StreamResponse:
        """Serve `/ws` and `/ws/<stream>`."""
        streams = [stream for stream in request.match_info.get("streams", "").split("/") if stream]
        return await self._binance(request, streams, wrap=False)

    async def combined(self, request: web.Request) -> web.StreamResponse:
        """Serve `/stream?streams=<a>/<b>`."""
        streams = [stream for stream in request.query.get("streams", "").split("/") if stream]
        return await self._binance(request, streams, wrap=True)

    async def coincap(self, request: web.Request) -> web.StreamResponse:
        """Serve `/trades/{exchange}`; what the client says has no effect."""
        exchange = EXCHANGES.get(request.match_info["exchange"])
        if exchange is None or exchange.name not in self._market.settings.coincap_exchanges:
            return web.json_response({"error": "unknown exchange"}, status=404)
        socket, connection = await self.open(request, exchange.venue)
        connection.streams.add(exchange.name)
        self._market.go_live_coincap(exchange.name)
        return await self.serve(socket, connection)

    async def _binance(self, request: web.Request, streams: list[str], *, wrap: bool) -> web.StreamResponse:
        socket, connection = await self.open(request, BINANCE)
        connection.combined = wrap
        connection.micro = request.query.get("timeUnit", "").upper() == "MICROSECOND"
        self._subscribe(connection, streams)
        return await self.serve(socket, connection)

    async def open(self, request: web.Request, venue: str) -> tuple[web.WebSocketResponse, Connection]:
        """Answer the upgrade, unless all are to be left without an answer now."""
        while time.monotonic() < self._market.faults.deaf_until:
            await asyncio.sleep(_DEAF_LOOK_S)
        # the reader answers pings itself; no compression, as frames are written to the socket ready made
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20, timeout=0.2)
        await socket.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise web.HTTPServiceUnavailable
        connection = Connection(venue, transport, set())
        self._market.connections.open.add(connection)
        self._market.connections.counts["opened"] += 1
        return socket, connection

    async def serve(self, socket: web.WebSocketResponse, connection: Connection) -> web.StreamResponse:
        """Read what the client says, and keep the connection, until it ends."""
        keeper = asyncio.create_task(self._keep(socket, connection))
        said: deque[float] = deque(maxlen=self._limits.messages_per_s + 1)
        try:
            async for message in socket:
                said.append(time.monotonic())
                if len(said) == said.maxlen and said[-1] - said[0] < 1.0:
                    await socket.close(code=_POLICY_VIOLATION, message=b"Too many requests")
                elif message.type == WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type == WSMsgType.PONG:
                    connection.last_pong = time.monotonic()
                elif message.type == WSMsgType.TEXT and connection.venue == BINANCE:
                    connection.say(compact(self._answer(connection, message.data)))
        finally:
            keeper.cancel()
            self._market.connections.open.discard(connection)
        return socket

    async def _keep(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        limits = self._limits
        next_ping = time.monotonic() + limits.ping_interval_s
        pause = min(limits.ping_interval_s, limits.pong_timeout_s, limits.connection_lifetime_s, 1.0) / 4
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(pause)
                now = time.monotonic()
                if now >= next_ping:
                    connection.write(ping_frame(str(time.time_ns() // 1_000_000).encode()))
                    next_ping = now + limits.ping_interval_s
                age = now - connection.opened
                if age >= limits.connection_lifetime_s - limits.shutdown_notice_s and not connection.noticed:
                    self.notify_shutdown(connection)
                silent = now - max(connection.last_pong, connection.opened)
                if age >= limits.connection_lifetime_s or silent >= limits.ping_interval_s + limits.pong_timeout_s:
                    await socket.close(code=_GOING_AWAY)
                    return

    def notify_shutdown(self, connection: Connection) -> None:
        """Ask a Binance client to connect anew, once."""
        connection.noticed = True
        if connection.venue == BINANCE:
            unit = 1 if connection.micro else 1_000
            body = compact({"e": "serverShutdown", "E": self._market.clock.now_us() // unit})
            connection.say(combined(_SHUTDOWN_STREAM, body) if connection.combined else body)

    def _answer(self, connection: Connection, text: str) -> dict[str, Any]:
        try:
            request = json.loads(text)
        except ValueError as error:
            return {"code": _INVALID_JSON, "msg": f"Invalid JSON: {error}"}
        if not isinstance(request, dict):
            return {"code": _INVALID_REQUEST, "msg": "Invalid request: not an object"}
        number = request.get("id")
        if not _is_id(number):
            return _refusal("request ID must be an unsigned integer, a string of at most 36 characters, or null", None)
        method, params = request.get("method"), request.get("params", [])
        if unknown := set(request) - {"id", "method", "params"}:
            return _refusal(f"unknown field `{min(unknown)}`", number)
        if not isinstance(params, list):
            return _refusal("`params` must be a list", number)
        return self._command(connection, method, params, number)

    def _command(self, connection: Connection, method: Any, params: list[Any], number: Any) -> dict[str, Any]:
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(connection.streams), "id": number}
        if method == "GET_PROPERTY" and params == ["combined"]:
            return {"result": connection.combined, "id": number}
        if method == "SET_PROPERTY" and len(params) == 2 and params[0] == "combined" and isinstance(params[1], bool):
            connection.combined = params[1]
            return {"result": None, "id": number}
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not params or not all(isinstance(stream, str) and "@" in stream for stream in params):
                return _refusal("`params` must be stream names", number)
            if method == "UNSUBSCRIBE":
                connection.streams.difference_update(params)
            elif len(connection.streams | set(params)) > self._limits.streams_per_connection:
                return _refusal("too many streams", number)
            else:
                self._subscribe(connection, params)
            return {"result": None, "id": number}
        known = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY"
        return _refusal(f"unknown variant `{method}`, expected one of {known}", number)

    def _subscribe(self, connection: Connection, streams: list[str]) -> None:
        connection.streams.update(streams[: self._limits.streams_per_connection])
        self._market.go_live(stream.removesuffix("@trade").upper() for stream in streams if stream.endswith("@trade"))


def _is_id(number: Any) -> bool:
    if isinstance(number, bool):
        return False
    if isinstance(number, str):
        return len(number) <= _LONGEST_TEXT_ID
    return number is None or isinstance(number, int)


def _refusal(why: str, number: Any) -> dict[str, Any]:
    return {"code": _INVALID_REQUEST, "msg": f"Invalid request: {why}", "id": number}
