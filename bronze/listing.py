"""Asks Binance what its symbols stand for, at the start and then daily, and puts the answer into the spool."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence

from ulid import ULID

from bronze.feed import backoff_s
from bronze.fetching import Fetching
from bronze.frames import framed
from bronze.record import Record
from bronze.rest import RestClient, RestError
from bronze.spool import Spool
from bronze.venues.protocol import SYMBOLS
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
PATH = "/api/v3/exchangeInfo"
WEIGHT = 20
SYMBOLS_A_BODY = 50  # some 5 KB each
_NO_SUCH_SYMBOL = 400


class Listing(Fetching):
    """Fetches `exchangeInfo` of the configured symbols; until it answers, conf/symbols.yml alone names them.

    Args:
        spool: of the venue.
        settings: of the venue, and times.
        stop: set by the owner to end.
    """

    def __init__(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        binance = settings.venues.binance
        rest_timeout_s = settings.collector.rest_timeout_s
        rest = RestClient(binance.rest_url, binance.rest_weight_per_minute, rest_timeout_s, stop)
        super().__init__("listing", "listing", rest)
        self._spool = spool
        self._stop_event = stop
        self._collector = settings.collector
        self._interval_s = binance.listing_interval_s
        self._symbols = binance.symbols
        self._session_id = str(ULID())
        self._asked = 0

    def _fetch_on(self) -> None:
        failures, wait_s = 0, 0.0
        while not self._stop_event.wait(wait_s):
            try:
                self._fetch()
                failures, wait_s = 0, self._interval_s
            except RestError as error:
                failures += 1
                longest_s = self._collector.fill_backoff_max_s
                wait_s = max(error.retry_after_s, min(backoff_s(failures, self._collector), longest_s))
                if not self._stop_event.is_set():
                    log.warning("the list of symbols could not be fetched (%s); again in %.1f s", error, wait_s)

    def _fetch(self) -> None:
        for first in range(0, len(self._symbols), SYMBOLS_A_BODY):
            names = self._symbols[first : first + SYMBOLS_A_BODY]
            if self._refusal(names) is None:
                continue
            # One that is not listed any more makes the venue refuse all that are asked for with it.
            for name in names:
                if (refusal := self._refusal([name])) is not None:
                    log.warning("binance does not list %s (%s)", name, refusal)

    def _refusal(self, names: Sequence[str]) -> RestError | None:
        """Put what the venue says of some names into the spool, or return that it does not list one of them."""
        asked = {"symbols": json.dumps(names, separators=(",", ":"))}
        try:
            answer = self._rest.get(PATH, asked, WEIGHT)
        except RestError as error:
            if error.status != _NO_SUCH_SYMBOL:
                raise
            return error
        channel, body = framed(SYMBOLS, answer, self._collector)
        now_us = time.time_ns() // 1000
        record = Record("binance", channel, "exchangeInfo", self._session_id, self._asked, now_us, "stream", body)
        if self._spool.append_when_room(record, self._stop_event):
            self._asked += 1
        return None
