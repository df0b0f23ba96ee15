"""Fetches the Binance trades that the stream did not bring, by their ids, into the same spool."""

from __future__ import annotations

import logging
import threading
import time

from bronze.fetching import Fetching
from bronze.history import PAGE, WEIGHT, TradeHistory
from bronze.rest import RestClient
from bronze.spool import Spool
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
_LOOK_S = 0.25


class Fill(Fetching):
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
        binance = settings.venues.binance
        rest_timeout_s = settings.collector.rest_timeout_s
        rest = RestClient(binance.rest_url, binance.rest_weight_per_minute, rest_timeout_s, stop)
        super().__init__("fill", "filling", rest)
        self._spool = spool
        self._stop_event = stop
        self._collector = settings.collector
        self._symbols = frozenset(binance.symbols)
        self._history = TradeHistory(
            rest,
            lambda record: spool.append_when_room(record, stop),
            self._collector,
            stop,
            # Small holes of a symbol wait for each other: one page closes them all, and the weight is enough for all.
            pause_s=60 * WEIGHT * len(binance.symbols) / binance.rest_weight_per_minute,
        )
        self._opened_at = float("-inf")
        self._probed: dict[str, float] = {}

    @property
    def fills(self) -> int:
        """How many pages were fetched."""
        return self._history.pages

    def connection_opened(self, venue: str, reason: str) -> None:
        """A connection was opened: what was traded before it and shown by no later trade is asked for soon."""
        self._opened_at = time.monotonic()

    def missing_ids(self) -> int:
        """How many ids are known to be missing, those not waited for long enough included."""
        holes = self._spool.ask(lambda coverage: coverage.holes(float("inf")))
        return sum(hole.last - hole.first + 1 for hole in holes)

    def _fetch_on(self) -> None:
        while not self._stop_event.wait(_LOOK_S):
            self._fill_holes()
            self._probe()

    def _fill_holes(self) -> None:
        found_before = time.monotonic() - self._collector.gap_wait_s
        for hole in self._spool.ask(lambda coverage: coverage.first_holes(found_before, PAGE)):
            if self._may_ask(hole.symbol):
                self._history.fetch(hole.symbol, hole.first, hole.last)

    def _probe(self) -> None:
        """Ask for what follows the highest id of each symbol that shows no life since it should have."""
        now = time.monotonic()
        since = now - self._collector.quiet_probe_s
        if now >= self._opened_at + self._collector.gap_wait_s:
            since = max(since, self._opened_at)
        for symbol, high in self._spool.ask(lambda coverage: coverage.quiet_since(since)):
            if self._probed.get(symbol, float("-inf")) < since and self._may_ask(symbol):
                if self._history.fetch(symbol, high + 1, None):
                    self._probed[symbol] = time.monotonic()

    def _may_ask(self, symbol: str) -> bool:
        return symbol in self._symbols and self._history.may_ask(symbol)
