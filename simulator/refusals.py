"""Answers a venue gives instead of what was asked for, on demand: bans, limits, pages of text, a farewell."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

Kind = Literal["403", "418", "429", "503", "text", "deprecation"]
UNAUTHORIZED = b"Unauthorized: API key missing or out of credit"
DEPRECATION = {
    "message": "We are deprecating this version of the CoinCap API on March 31, 2025. Sign up for our new V3 API"
}
_PAGE = "<html><head><title>Forbidden</title></head><body>The request could not be satisfied.</body></html>"


@dataclass(frozen=True)
class Refusal:
    """One answer instead of the one asked for.

    Args:
        kind: a status code; `text` (status 200, no JSON); `deprecation` (status 200, a farewell as a JSON object).
        retry_after_s: goes into the header; None leaves it out.
    """

    kind: Kind
    retry_after_s: int | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.kind) if self.kind.isdecimal() else 200

    def body(self, now_us: int) -> bytes:
        """The body as the venues write it."""
        if self.kind == "deprecation":
            return json.dumps({"data": DEPRECATION, "timestamp": now_us // 1_000}, separators=(",", ":")).encode()
        if self.kind == "text":
            return UNAUTHORIZED
        if self.kind in ("403", "503"):
            return _PAGE.encode()
        return b'{"code":-1003,"msg":"Too many requests; current limit is exceeded."}'

    def response(self, now_us: int) -> web.Response:
        """The answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return web.Response(status=self.status, body=self.body(now_us), headers=headers, content_type="text/plain")


class Refusals:
    """What is still to be refused, by source: `binance` (REST), `coingecko`, `coincap` (prices)."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Refusal]] = {}

    def add(self, source: str, refusal: Refusal, times: int) -> None:
        """Refuse the next so many requests of a source."""
        self._waiting.setdefault(source, deque()).extend([refusal] * times)

    def take(self, source: str) -> Refusal | None:
        """Give the refusal that the request at hand gets, if it gets one."""
        waiting = self._waiting.get(source)
        return waiting.popleft() if waiting else None
