"""CoinCap's v3 prices: a websocket that takes a key and sends, now and then, the prices of some assets as text."""

from __future__ import annotations

import asyncio
import contextlib
import math

import numpy as np
from aiohttp import web

from simulator.catalogue import Symbol
from simulator.coincap import VENUE_PREFIX
from simulator.connections import Connection
from simulator.market import Market
from simulator.paths import Purpose, generator
from simulator.refusals import Refusal
from simulator.sockets import Sockets
from simulator.wire import compact

SOURCE = "coincap"
_ALL = "ALL"
_LARGE = 1.0  # prices from here on have fewer decimals


class CoincapPrices:
    """Handler of `/prices?assets=a,b&apiKey=KEY`, or `assets=ALL`.

    Without the right key it says `Unauthorized` in a text that is no JSON, and closes. A message has no time and holds
    some of the assets asked for.

    Args:
        market: whose prices they are.
        sockets: opens and keeps the connections.
    """

    def __init__(self, market: Market, sockets: Sockets) -> None:
        self._market = market
        self._sockets = sockets
        self._assets = {s.base_slug: s for s in market.symbols.values() if s.quote == "USDT"}
        self._random = generator(market.settings.seed, "coincap prices", Purpose.LIVE, market.clock.now_us())

    def routes(self) -> list[web.RouteDef]:
        """Give the route."""
        return [web.get("/prices", self.prices)]

    async def prices(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        refusal = self._market.refusals.take(SOURCE)
        if refusal is not None:
            self._market.faults.count(f"refused {refusal.kind}")
            if refusal.status != 200:
                return refusal.response(self._market.clock.now_us())
        elif request.query.get("apiKey") != self._market.settings.coincap_api_key:
            refusal = Refusal("text")
        socket, connection = await self._sockets.open(request, f"{VENUE_PREFIX}prices")
        if refusal is not None:
            connection.say(refusal.body(self._market.clock.now_us()))
            await socket.close()
            self._market.connections.open.discard(connection)
            return socket
        teller = asyncio.create_task(self._tell(connection, self._asked(request)))
        try:
            return await self._sockets.serve(socket, connection)
        finally:
            teller.cancel()

    def _asked(self, request: web.Request) -> list[Symbol]:
        asked = request.query.get("assets", "").split(",")
        return [symbol for slug, symbol in self._assets.items() if slug in asked or asked == [_ALL]]

    async def _tell(self, connection: Connection, assets: list[Symbol]) -> None:
        settings = self._market.settings
        count = max(1, round(settings.coincap_prices_share * len(assets))) if assets else 0
        with contextlib.suppress(ConnectionError):
            while count:
                if not connection.stalled:
                    chosen = self._random.choice(len(assets), count, replace=False)
                    connection.say(compact({assets[n].base_slug: self._price(assets[n]) for n in sorted(chosen)}))
                    self._market.connections.counts["prices"] += 1
                await asyncio.sleep(settings.coincap_prices_every_s)

    def _price(self, symbol: Symbol) -> str:
        now = np.array([self._market.clock.now_us()], dtype=np.int64)
        price = math.exp(float(self._market.log_mid(symbol, now)[0]))
        return f"{price:.4f}" if price >= _LARGE else f"{price:.10f}"
