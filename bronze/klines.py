"""Backfills Binance's closed one-minute candles through spool and Kafka."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ulid import ULID

from bronze.outbox import Outbox, outbox
from bronze.record import Record
from bronze.rest import RestClient, RestError
from bronze.venues.protocol import KLINE
from lakehouse.errors import CryptolakeError
from lakehouse.home import claim_home, kind_of
from lakehouse.settings import Settings

PATH = "/api/v3/klines"
WEIGHT = 2
PAGE = 1000
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_ATTEMPTS = 5


@dataclass(frozen=True)
class BackfilledKlines:
    """What a backfill published.

    Args:
        symbols: how many symbols.
        candles: how many candles.
        pages: in how many bodies.
    """

    symbols: int
    candles: int
    pages: int


def backfill_klines(
    settings: Settings,
    bootstrap_servers: str,
    *,
    days: float,
    progress: Callable[[int, int, str], None] | None = None,
    stop: threading.Event | None = None,
) -> BackfilledKlines:
    """Publish the candles of the last days, of every symbol of the settings, and wait until Kafka has them.

    Only closed candles are asked for, by the venue's own clock. The bodies go on as they came.

    Args:
        settings: the whole tree.
        bootstrap_servers: the brokers.
        days: how far back.
        progress: called with the number of symbols done, that of all, and the symbol just done.
        stop: set it to end early.

    Raises:
        CryptolakeError: the venue or Kafka does not answer, the home is of the other kind, or `stop` was set.
    """
    binance = settings.venues.binance
    claim_home(settings, kind_of([binance.ws_url, binance.rest_url]))
    stop = stop or threading.Event()
    rest = RestClient(binance.rest_url, binance.rest_weight_per_minute, settings.collector.rest_timeout_s, stop)
    backfill = _Backfill(rest, str(ULID()), stop)
    with outbox(settings, bootstrap_servers, "backfill-klines") as out:
        try:
            newest_ms = backfill.newest_closed_ms()
            oldest_ms = newest_ms - int(days * _DAY_MS) + _MINUTE_MS
            for done, symbol in enumerate(binance.symbols, start=1):
                backfill.fetch(out, symbol, oldest_ms, newest_ms)
                if progress is not None:
                    progress(done, len(binance.symbols), symbol)
        finally:
            rest.close()
        out.flush()
    return BackfilledKlines(len(binance.symbols), backfill.candles, backfill.pages)


class _Backfill:
    def __init__(self, rest: RestClient, session_id: str, stop: threading.Event) -> None:
        self._rest = rest
        self._session_id = session_id
        self._stop = stop
        self.pages = 0
        self.candles = 0

    def newest_closed_ms(self) -> int:
        """Open time of the newest closed candle."""
        now_ms = int(json.loads(self._get("/api/v3/time", {}, 1))["serverTime"])
        return now_ms // _MINUTE_MS * _MINUTE_MS - _MINUTE_MS

    def fetch(self, out: Outbox, symbol: str, oldest_ms: int, newest_ms: int) -> None:
        """Publish the candles whose open times are oldest_ms to newest_ms."""
        start_ms = oldest_ms
        while start_ms <= newest_ms:
            params: dict[str, str | int] = {"symbol": symbol, "interval": "1m", "limit": PAGE}
            body = self._get(PATH, params | {"startTime": start_ms, "endTime": newest_ms}, WEIGHT)
            rows = _rows(body, symbol, start_ms)
            if not rows:
                return
            now_us = time.time_ns() // 1000
            out.put(Record("binance", KLINE, symbol, self._session_id, self.pages, now_us, "backfill", body))
            self.pages += 1
            self.candles += len(rows)
            start_ms = int(rows[-1][0]) + _MINUTE_MS

    def _get(self, path: str, params: dict[str, str | int], weight: int) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._rest.get(path, params, weight)
            except RestError as error:
                final = attempt == _ATTEMPTS or str(error).startswith("HTTP 400")
                if final or self._stop.wait(max(error.retry_after_s, 0.5 * 2**attempt)):
                    raise CryptolakeError(
                        f"The candles could not be fetched ({error})", "Is the venue up? `cryptolake doctor`."
                    ) from error
        raise AssertionError


def _rows(body: bytes, symbol: str, start_ms: int) -> list[Any]:
    try:
        rows = json.loads(body)
        opens = [row[0] for row in rows]
    except (ValueError, LookupError, TypeError) as error:
        raise CryptolakeError(f"The venue answered no candles for {symbol}: {body[:100]!r}") from error
    if not all(type(open_ms) is int and open_ms >= start_ms for open_ms in opens):
        raise CryptolakeError(f"The venue answered no candles for {symbol}: {body[:100]!r}")
    return list(rows)
