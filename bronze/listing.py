"""Asks Binance what its symbols stand for, at the start and then daily, and puts the answer into the spool."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence

from ulid import ULID

from bronze.feed import backoff_s
from bronze.frames import framed
from bronze.record import Record
from bronze.rest import RestClient, RestError
from bronze.spool import Spool, SpoolClosedError
from bronze.venues.protocol import SYMBOLS
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
PATH = "/api/v3/exchangeInfo"
WEIGHT = 20
SYMBOLS_A_BODY = 50  # some 5 KB each
_NO_SUCH_SYMBOL = 400


class Listing(threading.Thread):
    """Fetches `exchangeInfo` of the configured symbols; until it answers, conf/symbols.yml alone names them.

    Args:
        spool: of the venue.
        settings: of the venue, and times.
        stop: set by the owner to end.
    """

    def __init__(self, spool: Spool, settings: Settings, stop: threading.Event) -> None:
        super().__init__(name="listing", daemon=True)
        self.error: BaseException | None = None
        self._spool = spool
        self._stop_event = stop
        self._collector = settings.collector
        binance = settings.venues.binance
        self._interval_s = binance.listing_interval_s
        self._symbols = binance.symbols
        self._rest = RestClient(binance.rest_url, binance.rest_weight_per_minute, self._collector.rest_timeout_s, stop)
        self._session_id = str(ULID())
        self._asked = 0

    def run(self) -> None:
        """Ask until stopped."""
        failures, wait_s = 0, 0.0
        try:
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
        except SpoolClosedError:
            pass
        except Exception as error:
            log.exception("listing failed")
            self.error = error
        finally:
            self._rest.close()

    def _fetch(self) -> None:
        for first in range(0, len(self._symbols), SYMBOLS_A_BODY):
            names = self._symbols[first : first + SYMBOLS_A_BODY]
            try:
                self._take(names)
            except RestError as error:
                if error.status != _NO_SUCH_SYMBOL:
                    raise
                self._take_each(names)

    def _take_each(self, names: Sequence[str]) -> None:
        """Ask name by name: one that is not listed any more makes the venue refuse all that are asked for with it."""
        for name in names:
            try:
                self._take([name])
            except RestError as error:
                if error.status != _NO_SUCH_SYMBOL:
                    raise
                log.warning("%s does not list %s (%s)", "binance", name, error)

    def _take(self, names: Sequence[str]) -> None:
        asked = {"symbols": json.dumps(names, separators=(",", ":"))}
        channel, body = framed(SYMBOLS, self._rest.get(PATH, asked, WEIGHT), self._collector)
        now_us = time.time_ns() // 1000
        record = Record("binance", channel, "exchangeInfo", self._session_id, self._asked, now_us, "stream", body)
        if self._spool.append_when_room(record, self._stop_event):
            self._asked += 1
