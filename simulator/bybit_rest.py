"""Bybit's REST under /v5/market: the newest trades, with its error codes and its limit of calls."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from aiohttp import web

from simulator.bybit import CATEGORIES, RECENT
from simulator.market import Market
from simulator.wire import compact

_DEFAULT_LIMIT = {"spot": 60, "linear": 500}
_WINDOW_S = 5.0
_PARAMETER_ERROR, _TOO_MANY_VISITS = 10001, 10006


class BybitRest:
    """Handlers of the routes.

    Args:
        market: what they tell of.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._limits = market.settings.limits
        self._calls: dict[str, deque[float]] = {}
        self._banned_until: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        return [web.get("/v5/market/recent-trade", self.recent_trade), web.get("/v5/market/time", self.time)]

    async def time(self, request: web.Request) -> web.Response:
        """Answer `time`."""
        now_us = self._market.clock.now_us()
        return self._refused(request) or self._good({"timeSecond": str(now_us // 10**6), "timeNano": f"{now_us}000"})

    async def recent_trade(self, request: web.Request) -> web.Response:
        """Answer `recent-trade`: at most 60 trades of a spot symbol, 1,000 of a linear one, the newest first."""
        if refusal := self._refused(request):
            return refusal
        category, name, limit = (request.query.get(key, "") for key in ("category", "symbol", "limit"))
        if category not in CATEGORIES:
            return self._answer(_PARAMETER_ERROR, "params error: Category is invalid", {})
        if name not in self._market.symbols:
            return self._answer(_PARAMETER_ERROR, "params error: Symbol Invalid", {})
        if limit and not limit.isdecimal():
            return self._answer(_PARAMETER_ERROR, "params error: limit is invalid", {})
        self._market.advance()
        count = min(max(int(limit or _DEFAULT_LIMIT[category]), 1), RECENT[category])
        rows = [fill.listed() for fill in self._market.recent_bybit(category, name, count)]
        return self._good({"category": category, "list": rows})

    def _refused(self, request: web.Request) -> web.Response | None:
        faults, address, now = self._market.faults, request.remote or "", time.monotonic()
        calls = self._calls.setdefault(address, deque())
        while calls and now - calls[0] > _WINDOW_S:
            calls.popleft()
        if now < self._banned_until.get(address, 0.0):
            return web.Response(status=403, text="access too frequent")
        calls.append(now)
        if len(calls) > self._limits.bybit_calls_per_5_s:
            self._banned_until[address] = now + self._limits.bybit_ban_s
            return web.Response(status=403, text="access too frequent")
        if faults.rest_failures:
            faults.rest_failures -= 1
            faults.count("rest_failure")
            return web.Response(status=503, text="<html><body>503 Service Temporarily Unavailable</body></html>")
        if faults.too_many_visits:
            faults.too_many_visits -= 1
            faults.count("too_many_visits")
            return self._answer(_TOO_MANY_VISITS, "Too many visits!", {})
        return None

    def _good(self, result: dict[str, Any]) -> web.Response:
        return self._answer(0, "OK", result)

    def _answer(self, code: int, message: str, result: dict[str, Any]) -> web.Response:
        time_ms = self._market.clock.now_us() // 1_000
        body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": time_ms}
        return web.Response(body=compact(body), content_type="application/json")
