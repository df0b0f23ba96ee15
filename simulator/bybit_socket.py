"""Bybit's public websockets: subscriptions by JSON, JSON pings, and the cut of who says and gets nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from aiohttp import WSMsgType, web

from simulator.bybit import CATEGORIES, TOPIC, VENUE_PREFIX
from simulator.connections import Connection
from simulator.market import Market
from simulator.sockets import Sockets
from simulator.wire import compact

_SPOT_ARGS = 10  # most topics in one request on spot
_ARGS_LETTERS = 21_000  # most letters of all topics of a connection


class BybitSocket:
    """Handler of `/v5/public/{category}`.

    Args:
        market: whose trades go out.
        sockets: answers the upgrade.
    """

    def __init__(self, market: Market, sockets: Sockets) -> None:
        self._market = market
        self._sockets = sockets
        self._silence_s = market.settings.limits.bybit_silence_s

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        return [web.get("/v5/public/{category}", self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        category = request.match_info["category"]
        if category not in CATEGORIES:
            return web.json_response({"error": "unknown category"}, status=404)
        socket, connection = await self._sockets.open(request, VENUE_PREFIX + category)
        keeper = asyncio.create_task(self._cut_the_silent(socket, connection))
        number = f"sim{id(connection):x}"
        try:
            async for message in socket:
                if message.type == WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type == WSMsgType.TEXT:
                    connection.active = time.monotonic()
                    connection.say(compact(self._answer(connection, category, message.data, number)))
        finally:
            keeper.cancel()
            self._market.connections.open.discard(connection)
        return socket

    async def _cut_the_silent(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - connection.active < self._silence_s:
                await asyncio.sleep(min(self._silence_s / 4, 1.0))
            await socket.close()

    def _answer(self, connection: Connection, category: str, text: str, number: str) -> dict[str, Any]:
        try:
            request = json.loads(text)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return {"success": False, "ret_msg": "Invalid JSON", "conn_id": number, "op": ""}
        what = request.get("op")
        told = {"req_id": request["req_id"]} if isinstance(request.get("req_id"), str) else {}
        if what == "ping":
            return {"success": True, "ret_msg": "pong", "conn_id": number, **told, "op": "ping"}
        if what not in ("subscribe", "unsubscribe"):
            return {"success": False, "ret_msg": f"Invalid op: {what}", "conn_id": number, **told, "op": str(what)}
        if why := self._change(connection, category, what, request.get("args")):
            return {"success": False, "ret_msg": why, "conn_id": number, **told, "op": what}
        message = what if category == "spot" else ""
        return {"success": True, "ret_msg": message, "conn_id": number, **told, "op": what}

    def _change(self, connection: Connection, category: str, what: str, topics: Any) -> str:
        """Do what a request asks, all of it or nothing; give the reason why not."""
        if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
            return "args is empty or no list of topics"
        if category == "spot" and len(topics) > _SPOT_ARGS:
            return f"args size >{_SPOT_ARGS}"
        unknown = [topic for topic in topics if topic.removeprefix(TOPIC) not in self._tradable(category)]
        if unknown or not all(topic.startswith(TOPIC) for topic in topics):
            return f"Invalid topic: [{','.join(unknown or topics)}]"
        if what == "unsubscribe":
            connection.streams.difference_update(topics)
            return ""
        if sum(map(len, connection.streams | set(topics))) > _ARGS_LETTERS:
            return "args of the connection are too long"
        connection.streams.update(topics)
        self._market.go_live_bybit(category, [topic.removeprefix(TOPIC) for topic in topics])
        return ""

    def _tradable(self, category: str) -> set[str]:
        return {symbol.name for symbol in self._market.symbols.values() if category == "spot" or symbol.quote == "USDT"}
