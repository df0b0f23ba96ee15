"""Fetches the Binance trades that the stream did not bring, by their ids, into the same spool."""

from __future__ import annotations

import json
import logging
import threading
import time
from itertools import pairwise

from ulid import ULID

from bronze.feed import backoff_s
from bronze.record import Record
from bronze.rest import RestClient, RestError
from bronze.spool import Spool, SpoolClosedError
from bronze.venues.protocol import CONTROL, TRADE
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
PATH = "/api/v3/historicalTrades"
WEIGHT = 25
PAGE = 1000
_LOOK_S = 0.1


class _AnswerError(Exception):
    """The venue answered something that is no page of trades."""


class Fill(threading.Thread):
    """Closes holes in the ids that the spool holds, beside the live stream.

    What is missing is worked out from the spool's records, so a crash forgets nothing: a hole is wanted until the rows
    are in the spool. After each connection, and for a symbol that is quiet for long, the ids after the highest held
    one are asked for as well: the trade that would show the hole may be the one that is missing.

    Args:
        spool: of the venue.
        settings: of the venue, and times.
        stop: set by the owner to end.
    """

    def __init__(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        super().__init__(name="fill", daemon=True)
        self.fills = 0
        self.error: BaseException | None = None
        self._spool = spool
        self._stop_event = stop
        self._collector = settings.collector
        binance = settings.venues.binance
        self._symbols = frozenset(binance.symbols)
        self._rest = RestClient(binance.rest_url, binance.rest_weight_per_minute, self._collector.rest_timeout_s, stop)
        # Small holes of a symbol wait for each other: one page closes all of them, and the weight is enough for all.
        self._pause_s = 60 * WEIGHT * len(binance.symbols) / binance.rest_weight_per_minute
        self._opened_at = float("-inf")
        self._probed: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._behind_horizon: dict[str, int] = {}

    def connection_opened(self) -> None:
        """A connection was opened: what was traded before it and shown by no later trade is asked for soon."""
        self._opened_at = time.monotonic()

    def missing_ids(self) -> int:
        """How many ids are known to be missing, those not waited for long enough included."""
        holes = self._spool.ask(lambda coverage: coverage.holes(float("inf")))
        return sum(hole.last - hole.first + 1 for hole in holes)

    def run(self) -> None:
        """Fill until stopped."""
        try:
            while not self._stop_event.wait(_LOOK_S):
                self._fill_holes()
                self._probe()
        except SpoolClosedError:
            pass
        except Exception as error:
            log.exception("filling failed")
            self.error = error
        finally:
            self._rest.close()

    def _fill_holes(self) -> None:
        found_before = time.monotonic() - self._collector.gap_wait_s
        for hole in self._spool.ask(lambda coverage: coverage.first_holes(found_before, PAGE)):
            if self._may_ask(hole.symbol):
                self._try(hole.symbol, hole.first, hole.last)

    def _probe(self) -> None:
        """Ask for what follows the highest id of each symbol that shows no life since it should have."""
        now = time.monotonic()
        since = now - self._collector.quiet_probe_s
        if now >= self._opened_at + self._collector.gap_wait_s:
            since = max(since, self._opened_at)
        for symbol, high in self._spool.ask(lambda coverage: coverage.quiet_since(since)):
            if self._probed.get(symbol, float("-inf")) < since and self._may_ask(symbol):
                if self._try(symbol, high + 1, None):
                    self._probed[symbol] = time.monotonic()

    def _may_ask(self, symbol: str) -> bool:
        in_time = time.monotonic() >= self._not_before.get(symbol, 0.0)
        return symbol in self._symbols and in_time and not self._stop_event.is_set()

    def _try(self, symbol: str, first: int, last: int | None) -> bool:
        try:
            self._fetch(symbol, first, last)
        except (RestError, _AnswerError) as error:
            failures = self._failures[symbol] = self._failures.get(symbol, 0) + 1
            asked_s = error.retry_after_s if isinstance(error, RestError) else 0.0
            wait_s = max(asked_s, min(backoff_s(failures, self._collector), self._collector.fill_backoff_max_s))
            self._not_before[symbol] = time.monotonic() + wait_s
            if not self._stop_event.is_set():
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
                self._give_up(symbol, wanted, before, session_id)
                wanted = before + 1
                continue
            record = Record(
                "binance", TRADE, symbol, session_id, sequence, time.time_ns() // 1000, "backfill", body,
                symbol, ids[0], ids[-1],
            )  # fmt: skip
            if not self._spool.append_when_room(record, self._stop_event):
                raise RestError("stopping")
            if len(ids) != ids[-1] - ids[0] + 1:
                log.warning("%s: the venue itself has no trades for some ids in %d..%d", symbol, ids[0], ids[-1])
            self._behind_horizon.pop(symbol, None)
            self.fills += 1
            log.info("filled %s %d..%d", symbol, ids[0], ids[-1])
            if last is None and len(ids) < limit:
                return
            wanted, sequence = ids[-1] + 1, sequence + 1

    def _give_up(self, symbol: str, first: int, last: int, session_id: str) -> None:
        """Say that ids cannot be had any more; believed only when the venue says so twice."""
        if self._behind_horizon.get(symbol) != first:
            self._behind_horizon[symbol] = first
            raise _AnswerError(f"ids {first}..{last} are behind the venue's horizon; asking once more")
        log.error("%s: ids %d..%d are unrecoverable: the venue's history no longer has them", symbol, first, last)
        marker = {"kind": "unrecoverable", "symbol": symbol, "from_id": first, "to_id": last}
        now_us = time.time_ns() // 1000
        record = Record(
            "binance", CONTROL, symbol, session_id, 0, now_us, "backfill", json.dumps(marker).encode(),
            symbol, first, last,
        )  # fmt: skip
        if not self._spool.append_when_room(record, self._stop_event):
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
