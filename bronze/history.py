"""Asks Binance for trades by their ids (REST historicalTrades) and passes the bodies on as they came.

Its horizon (binance/binance-public-data#376): an id that is too old is answered from a later one, without an error.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from itertools import pairwise

from ulid import ULID

from bronze.feed import backoff_s
from bronze.record import Record
from bronze.rest import RestClient, RestError
from bronze.venues.protocol import GAP, TRADE
from lakehouse.settings import CollectorSettings

log = logging.getLogger(__name__)
PATH = "/api/v3/historicalTrades"
WEIGHT = 25
PAGE = 1000


class _AnswerError(Exception):
    """The venue answered something that is no page of trades."""


class TradeHistory:
    """Fetches ranges of ids, symbol by symbol, with a backoff of each symbol's own; for one thread.

    Args:
        rest: the venue's REST API.
        put: takes a record, waiting for room; False when the process is to end.
        settings: of the backoff.
        pause_s: how long a symbol is left alone after a fetch that went well.
        stop: set by the owner to end.
    """

    def __init__(
        self,
        rest: RestClient,
        put: Callable[[Record], bool],
        settings: CollectorSettings,
        stop: threading.Event,
        *,
        pause_s: float = 0.0,
    ) -> None:
        self.pages = 0
        self.trades = 0
        self.given_up = 0
        self._rest = rest
        self._put = put
        self._settings = settings
        self._stop = stop
        self._pause_s = pause_s
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._behind_horizon: dict[str, int] = {}

    def may_ask(self, symbol: str) -> bool:
        """Whether the symbol's wait is over."""
        return time.monotonic() >= self._not_before.get(symbol, 0.0) and not self._stop.is_set()

    def failures(self, symbol: str) -> int:
        """How many fetches of a symbol have failed in a row."""
        return self._failures.get(symbol, 0)

    def fetch(self, symbol: str, first: int, last: int | None) -> bool:
        """Put the trades of a range of ids, and a marker for those that the venue says twice it no longer has.

        Args:
            symbol: as the venue writes it.
            first: the first id wanted.
            last: the last one; None fetches up to the newest.

        Returns:
            whether all of it was put; when not, the symbol has to wait.
        """
        try:
            self._fetch(symbol, first, last)
        except (RestError, _AnswerError) as error:
            failures = self._failures[symbol] = self._failures.get(symbol, 0) + 1
            asked_s = error.retry_after_s if isinstance(error, RestError) else 0.0
            wait_s = max(asked_s, min(backoff_s(failures, self._settings), self._settings.fill_backoff_max_s))
            self._not_before[symbol] = time.monotonic() + wait_s
            if not self._stop.is_set():
                wanted = f"from {first}" if last is None else f"{first}..{last}"
                log.warning("fill of %s %s failed (%s); again in %.1f s", symbol, wanted, error, wait_s)
            return False
        self._failures.pop(symbol, None)
        self._not_before[symbol] = time.monotonic() + self._pause_s
        return True

    def _fetch(self, symbol: str, first: int, last: int | None) -> None:
        session_id, sequence, wanted = str(ULID()), 0, first
        while last is None or wanted <= last:
            limit = PAGE if last is None else min(PAGE, last - wanted + 1)
            body = self._rest.get(PATH, {"symbol": symbol, "fromId": wanted, "limit": limit}, WEIGHT)
            ids = _ids_of(body)
            if not ids and last is None:
                return
            if not ids or ids[0] < wanted:
                raise _AnswerError(f"asked from id {wanted}, got {ids[0] if ids else 'nothing'}")
            if ids[0] > wanted:
                before = ids[0] - 1 if last is None else min(ids[0] - 1, last)
                self._give_up(symbol, wanted, before)
                wanted = before + 1
                continue
            self._append(TRADE, symbol, session_id, sequence, body, ids[0], ids[-1])
            if len(ids) != ids[-1] - ids[0] + 1:
                log.warning("%s: the venue itself has no trades for some ids in %d..%d", symbol, ids[0], ids[-1])
            self._behind_horizon.pop(symbol, None)
            self.pages += 1
            self.trades += len(ids)
            log.info("filled %s %d..%d", symbol, ids[0], ids[-1])
            if last is None and len(ids) < limit:
                return
            wanted, sequence = ids[-1] + 1, sequence + 1

    def _give_up(self, symbol: str, first: int, last: int) -> None:
        """Say that ids cannot be had any more; believed only when the venue says so twice."""
        if self._behind_horizon.get(symbol) != first:
            self._behind_horizon[symbol] = first
            raise _AnswerError(f"ids {first}..{last} are behind the venue's horizon; asking once more")
        marker = {"kind": "unrecoverable", "symbol": symbol, "from_id": first, "to_id": last}
        self._append(GAP, symbol, str(ULID()), 0, json.dumps(marker).encode(), first, last)
        self.given_up += last - first + 1
        log.error("%s: ids %d..%d are unrecoverable: the venue's history no longer has them", symbol, first, last)

    def _append(
        self, channel: str, symbol: str, session_id: str, sequence: int, payload: bytes, first: int, last: int
    ) -> None:
        now_us = time.time_ns() // 1000
        record = Record(
            "binance", channel, symbol, session_id, sequence, now_us, "backfill", payload, symbol, first, last
        )
        if not self._put(record):
            raise RestError("stopping")


def _ids_of(body: bytes) -> list[int]:
    try:
        ids = [row["id"] for row in json.loads(body)]
    except (ValueError, LookupError, TypeError) as error:
        raise _AnswerError(f"not a list of trades: {body[:100]!r}") from error
    rising = all(type(i) is int for i in ids) and all(a < b for a, b in pairwise(ids))
    if not rising:
        raise _AnswerError("ids do not rise")
    return ids
