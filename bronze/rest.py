"""GET requests to a venue, within its weight limit (Binance: rest-api.md, "LIMITS")."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr

_LONGEST_BODY = 16 * 1024 * 1024
_BAN_S = 120.0  # the shortest ban; used when a 418 names no time
_BLOCK_S = 60.0  # used when a 403, which a firewall gives, names no time
_USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"


class RestError(Exception):
    """A request had no usable answer.

    Args:
        reason: what happened.
        retry_after_s: how long the venue wants us to wait.
        status: of the answer; 0 when there was none.
        body: of the answer.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0, status: int = 0, body: bytes = b"") -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.status = status
        self.body = body


class RestClient:
    """One keep-alive connection to a venue's REST API; for one thread.

    Args:
        url: scheme, host and port; certificates are checked.
        weight_per_minute: a request that would exceed it waits for the next minute.
        timeout_s: for one request.
        stop: ends every wait.
        headers: go with every request, and into no log.
    """

    def __init__(
        self,
        url: str,
        weight_per_minute: int,
        timeout_s: float,
        stop: threading.Event,
        headers: Mapping[str, SecretStr] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._tls = parts.scheme == "https"
        self._weight_per_minute = weight_per_minute
        self._timeout_s = timeout_s
        self._stop = stop
        self._headers = headers or {}
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0
        self._used_in_minute = 0
        self._not_before = 0.0

    def get(self, path: str, params: Mapping[str, str | int], weight: int) -> bytes:
        """Fetch a body, unchanged.

        Args:
            path: e.g. /api/v3/klines.
            params: the query.
            weight: what the venue counts for it.

        Raises:
            RestError: no answer, or another status than 200; after 403, 418 and 429 no request goes out before its
                time.
        """
        self._wait_for_allowance(weight)
        query = f"{self._base}{path}?{urlencode(params)}" if params else f"{self._base}{path}"
        try:
            connection = self._connected()
            connection.request("GET", query, headers=self._request_headers())
            response = connection.getresponse()
            body = response.read(_LONGEST_BODY + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise RestError(f"{type(error).__name__}: {error}") from error
        self._note_weight(response.getheader(_USED_WEIGHT), weight)
        if len(body) > _LONGEST_BODY or response.will_close:
            self.close()
        if response.status != 200:
            raise self._refusal(response.status, response.getheader("Retry-After"), body)
        if len(body) > _LONGEST_BODY:
            raise RestError(f"{path}: a body of more than {_LONGEST_BODY} bytes")
        return body

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request_headers(self) -> dict[str, str]:
        secrets = {name: value.get_secret_value() for name, value in self._headers.items()}
        return {"Accept": "application/json", **secrets}

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._tls:
                context = ssl.create_default_context()
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout_s, context=context
                )
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return self._connection

    def _wait_for_allowance(self, weight: int) -> None:
        wait_s = self._not_before - time.monotonic()
        now = time.time()
        if self._used_in_minute == int(now) // 60 and self._used + weight > self._weight_per_minute:
            wait_s = max(wait_s, 60.0 - now % 60 + 0.5)  # the venue's clock may be a little behind
        if wait_s > 0 and self._stop.wait(wait_s):
            raise RestError("stopping")

    def _note_weight(self, header: str | None, weight: int) -> None:
        minute = int(time.time()) // 60
        if minute != self._used_in_minute:
            self._used, self._used_in_minute = 0, minute
        self._used = int(header) if header and header.isdecimal() else self._used + weight

    def _refusal(self, status: int, retry_after: str | None, body: bytes) -> RestError:
        unnamed_s = {403: _BLOCK_S, 418: _BAN_S, 429: 60.0 - time.time() % 60}
        wait_s = retry_after_s(retry_after) or unnamed_s.get(status, 0.0)
        if status in unnamed_s:
            self._not_before = time.monotonic() + wait_s
        try:
            reason = json.loads(body)["msg"]
        except (ValueError, LookupError, TypeError):
            reason = " ".join(body[:200].decode(errors="replace").split())
        return RestError(f"HTTP {status}: {reason}", wait_s, status, body)


def retry_after_s(header: str | None) -> float:
    """How long a `Retry-After` header (seconds, or a date) wants us to wait; 0 without one."""
    if not header:
        return 0.0
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0
