"""`GET /control/status` and `POST /control/faults`: how a test or a demo makes faults happen."""

from __future__ import annotations

import time
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lakehouse.settings import SimulatorFaultSettings
from simulator.market import Market
from simulator.refusals import Kind, Refusal
from simulator.sockets import Sockets


class FaultRequest(BaseModel):
    """What to do now, beside new values for any key of `simulator.faults`.

    Args:
        cut: end open connections, properly or with a reset.
        stall: let open connections fall silent for so many seconds.
        malformed: send so many extra frames that are no trade with the next trades.
        deaf_s: leave the upgrade of new websockets unanswered for so many seconds.
        rest_failures: answer the next so many REST requests with 503.
        too_many_visits: answer the next so many of Bybit's with its code 10006.
        shutdown_notice: send `serverShutdown` to Binance connections.
        refuse: answer the next so many (`times`) requests with `refuse` instead: 403, 418, 429, 503, text (no JSON) or
            deprecation (a farewell as JSON); of `source` binance (REST), coingecko, or coincap (a websocket of prices,
            which answers 403 to the upgrade and says the others in a message).
        retry_after_s: goes with those refusals.
        venue: only to connections of `binance`, `bybit`, `coincap`, or one venue such as `coincap-bitso`.
    """

    model_config = ConfigDict(extra="forbid")

    cut: Literal["fin", "abort"] | None = None
    stall: float | None = Field(default=None, gt=0)
    malformed: int = Field(default=0, ge=0)
    deaf_s: float = Field(default=0, ge=0)
    rest_failures: int = Field(default=0, ge=0)
    too_many_visits: int = Field(default=0, ge=0)
    shutdown_notice: bool = False
    refuse: Kind | None = None
    source: Literal["binance", "coingecko", "coincap"] = "binance"
    times: int = Field(default=1, ge=1)
    retry_after_s: int | None = Field(default=None, ge=0)
    venue: str | None = None


class Control:
    """Handlers of the control routes.

    Args:
        market: whose faults they are.
        sockets: the open websockets' endpoints.
    """

    def __init__(self, market: Market, sockets: Sockets) -> None:
        self._market = market
        self._sockets = sockets

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        return [web.get("/control/status", self.status), web.post("/control/faults", self.faults)]

    async def status(self, _: web.Request) -> web.Response:
        """Tell what has been sent, to how many clients, at what time of the market."""
        return web.json_response(self._status())

    async def faults(self, request: web.Request) -> web.Response:
        """Commit faults now and change the shares and intervals of later ones; answers the status."""
        market = self._market
        try:
            given: dict[str, Any] = dict(await request.json())
            lasting = {key: given.pop(key) for key in list(given) if key in SimulatorFaultSettings.model_fields}
            settings = SimulatorFaultSettings.model_validate(market.faults.settings.model_dump() | lasting)
            now = FaultRequest.model_validate(given)
        except (ValueError, TypeError, ValidationError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if lasting:
            market.faults.change(settings)
        market.faults.extra_malformed += now.malformed
        market.faults.rest_failures += now.rest_failures
        market.faults.too_many_visits += now.too_many_visits
        market.faults.deaf_until = max(market.faults.deaf_until, time.monotonic() + now.deaf_s)
        if now.refuse is not None:
            market.refusals.add(now.source, Refusal(now.refuse, now.retry_after_s), now.times)
        if now.shutdown_notice:
            for connection in market.connections.of("binance"):
                self._sockets.notify_shutdown(connection)
        if now.stall is not None:
            market.stall(now.stall, now.venue)
        if now.cut is not None:
            market.cut(now.cut, now.venue)
        return web.json_response(self._status())

    def _status(self) -> dict[str, Any]:
        market = self._market
        return {
            "clock_us": market.clock.now_us(),
            "live": market.clock.is_live,
            "clients": [
                {"venue": each.venue, "streams": len(each.streams), "stalled": each.stalled}
                for each in market.connections.open
            ],
            "counts": dict(market.connections.counts),
            "faults_committed": market.faults.committed,
            "faults": market.faults.settings.model_dump(),
            "next_ids": market.next_ids(),
            "coincap": market.coincap_numbers(),
            "bybit": market.bybit_numbers(),
        }
