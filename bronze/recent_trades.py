"""Narrows what a lost connection to Bybit cost, by pages of its newest trades (docs: v5/market/recent-trade.mdx)."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass

from ulid import ULID

from bronze.breaks import Break, marker_numbers
from bronze.feed import backoff_s
from bronze.fetching import Fetching
from bronze.record import Record
from bronze.rest import RestClient, RestError
from bronze.spool import Spool, SpoolFullError
from bronze.venues.bybit import PREFIX
from bronze.venues.protocol import GAP, TRADE
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
PATH = "/v5/market/recent-trade"
LIMITS = {"spot": 60, "linear": 1000}  # the most that a page may hold; there is no second one
_LOOK_S = 0.25


class _AnswerError(Exception):
    """The venue answered something that is no page of trades."""


@dataclass(frozen=True)
class _Page:
    body: bytes
    first: int
    last: int
    oldest_us: int
    newest_us: int


class RecentTrades(Fetching):
    """Closes breaks between connections, beside the live stream.

    A page that reaches back beyond the last trade held leaves nothing lost: its trades go into the spool, and no gap is
    recorded. Otherwise what lies between the two is, and all of the break when the venue gives no page. The breaks are
    worked out from the spool's records, so a crash forgets none.

    Args:
        spool: of the venue.
        settings: of the venue, and times.
        stop: set by the owner to end.
    """

    def __init__(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        bybit = settings.venues.bybit
        rest = RestClient(bybit.rest_url, bybit.rest_calls_per_minute, settings.collector.rest_timeout_s, stop)
        super().__init__("recent-trades", "fetching recent trades", rest)
        self.fills = 0
        self._spool = spool
        self._stop_event = stop
        self._collector = settings.collector
        self._bybit = bybit
        self._symbols = {f"{PREFIX}spot": bybit.spot_symbols, f"{PREFIX}linear": bybit.linear_symbols}
        self._opened: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._failures: dict[Break, int] = {}
        self._not_before: dict[Break, float] = {}

    def connection_opened(self, venue: str, reason: str) -> None:
        """A connection was opened: the newest trades of each symbol are asked for soon.

        Args:
            venue: whose.
            reason: why the one before it ended.
        """
        self._reasons[venue] = reason
        self._opened[venue] = time.monotonic()

    def missing_ids(self) -> None:
        """None: its ids do not tell what is missing."""

    def _fetch_on(self) -> None:
        while not self._stop_event.wait(_LOOK_S):
            self._look_after_opening()
            for each in self._breaks():
                if time.monotonic() >= self._not_before.get(each, 0.0) and not self._stop_event.is_set():
                    self._settle(each)

    def _breaks(self) -> list[Break]:
        found_before = time.monotonic() - self._collector.gap_wait_s
        return self._spool.ask(lambda coverage: coverage.breaks.found(found_before))

    def _look_after_opening(self) -> None:
        """Fetch what was traded while a connection was made, of symbols that may show it by no later trade for long."""
        now = time.monotonic()
        for venue in [venue for venue, at in self._opened.items() if now >= at + self._collector.gap_wait_s]:
            del self._opened[venue]
            for symbol in self._symbols[venue]:
                newest = self._spool.ask(lambda coverage: coverage.breaks.newest(venue, symbol))  # noqa: B023 - at once
                if newest is None or self._stop_event.is_set():
                    continue
                try:
                    page = self._page(venue, symbol)
                except (RestError, _AnswerError) as error:
                    log.warning("%s %s: no recent trades (%s)", venue, symbol, error)
                    continue
                if page.last > newest:
                    self._put(venue, symbol, page)

    def _settle(self, found: Break) -> None:
        try:
            page = self._page(found.venue, found.symbol)
            if page.last < found.before:
                raise _AnswerError("the page ends before the break does")
        except (RestError, _AnswerError) as error:
            if not self._stop_event.is_set():
                self._note_failure(found, error)
            return
        self._put(found.venue, found.symbol, page)
        if page.first >= found.after:
            self._mark(found, min(max(page.oldest_us, found.after_us), found.before_us))
        self._forget(found)

    def _note_failure(self, found: Break, error: Exception) -> None:
        failures = self._failures[found] = self._failures.get(found, 0) + 1
        log.warning("%s %s: no recent trades (%s)", found.venue, found.symbol, error)
        if failures < self._bybit.recent_trade_attempts:
            self._not_before[found] = time.monotonic() + backoff_s(failures, self._collector)
            return
        self._mark(found, found.before_us)
        self._forget(found)

    def _forget(self, found: Break) -> None:
        self._failures.pop(found, None)
        self._not_before.pop(found, None)

    def _mark(self, lost: Break, to_us: int) -> None:
        start_us, end_us = sorted((lost.after_us, to_us))
        marker = {
            "kind": "disconnect",
            "symbol": lost.symbol,
            "from_time_us": start_us,
            "to_time_us": end_us,
            "reason": self._reasons.get(lost.venue, "collector started"),
        }
        now_us = time.time_ns() // 1000
        body = json.dumps(marker).encode()
        record = Record(
            lost.venue, GAP, lost.symbol, str(ULID()), 0, now_us, "stream", body, **marker_numbers(lost)
        )  # fmt: skip
        try:
            self._spool.append(record, urgent=True)
        except SpoolFullError as error:
            log.warning("%s %s: the gap is not recorded yet (%s)", lost.venue, lost.symbol, error.what)
        else:
            log.warning("%s %s: %.3f s may be lost", lost.venue, lost.symbol, (end_us - start_us) / 1e6)

    def _put(self, venue: str, symbol: str, page: _Page) -> None:
        now_us = time.time_ns() // 1000
        record = Record(
            venue, TRADE, symbol, str(ULID()), 0, now_us, "backfill", page.body,
            symbol, page.first, page.last, page.newest_us,
        )  # fmt: skip
        if self._spool.append_when_room(record, self._stop_event):
            self.fills += 1

    def _page(self, venue: str, symbol: str) -> _Page:
        category = venue.removeprefix(PREFIX)
        body = self._rest.get(PATH, {"category": category, "symbol": symbol, "limit": LIMITS[category]}, 1)
        try:
            content = json.loads(body)
            if content["retCode"] != 0:
                raise _AnswerError(f"{content['retCode']} {content['retMsg']}")
            rows = content["result"]["list"]
            numbers = [int(row["seq"]) for row in rows]
            times_us = [int(row["time"]) * 1000 for row in rows]
        except (ValueError, LookupError, TypeError) as error:
            raise _AnswerError(f"no page of trades: {body[:100]!r}") from error
        if not rows:
            raise _AnswerError("no trades")
        # A page that is not full holds all there ever was: it reaches back before any trade held.
        first = min(numbers) if len(rows) >= LIMITS[category] else 0
        return _Page(body, first, max(numbers), min(times_us), max(times_us))
