"""Fetches the ids that open rows of silver.gaps name; all it needs to know is in the tables and in its spool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bronze.history import TradeHistory
from bronze.outbox import Outbox, outbox
from bronze.record import Record
from bronze.rest import RestClient
from cryptolake.reader import LakeReader
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings
from silver.tables import GAPS, TRADES

log = logging.getLogger(__name__)
_VENUE = "binance"
_SPOOL = "backfill-trades"


@dataclass(frozen=True)
class Wanted:
    """Ids that silver.trades lacks.

    Args:
        symbol: canonical.
        first: the first id.
        last: the last id.
    """

    symbol: str
    first: int
    last: int

    @property
    def ids(self) -> int:
        """How many ids that are."""
        return self.last - self.first + 1

    @property
    def venue_symbol(self) -> str:
        """The symbol as Binance writes it."""
        return self.symbol.replace("-", "")


@dataclass(frozen=True)
class Backfilled:
    """What a run has brought.

    Args:
        holes: how many holes were asked for.
        trades: how many trades were published.
        given_up: how many ids the venue no longer has.
    """

    holes: int
    trades: int
    given_up: int


def backfill_gaps(settings: Settings, bootstrap_servers: str, stop: threading.Event, *, once: bool) -> Backfilled:
    """Publish what is missing in open gaps of Binance ids; refine closes them.

    Args:
        settings: the whole tree.
        bootstrap_servers: the brokers.
        stop: set it to end.
        once: take what is open now, wait until Kafka has it, and return.

    Raises:
        CryptolakeError: another back-fill runs, Kafka takes nothing, or (once) the venue does not answer.
    """
    binance, collector = settings.venues.binance, settings.collector
    rest = RestClient(binance.rest_url, settings.backfill.weight_per_minute, collector.rest_timeout_s, stop)
    try:
        with outbox(settings, bootstrap_servers, _SPOOL) as out:

            def put(record: Record) -> bool:
                if not stop.is_set():
                    out.put(record)
                return not stop.is_set()

            history = TradeHistory(rest, put, collector, stop)
            backfill = _Backfill(settings, history, out, stop)
            holes = backfill.take_all() if once else backfill.watch()
            return Backfilled(holes, history.trades, history.given_up)
    finally:
        rest.close()


class _Backfill:
    def __init__(self, settings: Settings, history: TradeHistory, out: Outbox, stop: threading.Event) -> None:
        self._settings = settings.backfill
        self._history = history
        self._out = out
        self._stop = stop
        self._reader = LakeReader(settings)
        self._published: dict[Wanted, float] = {}
        self._too_wide: set[Wanted] = set()

    def take_all(self) -> int:
        """Fetch all that is missing now; return how many holes that was."""
        holes = list(self._missing(since_s=0.0))
        for hole in holes:
            while not self._history.fetch(hole.venue_symbol, hole.first, hole.last):
                if self._history.failures(hole.venue_symbol) >= self._settings.attempts or self._stop.is_set():
                    raise CryptolakeError(
                        f"The trades {hole.first} to {hole.last} of {hole.venue_symbol} could not be fetched",
                        "Is the venue up? What was fetched is kept; start again.",
                    )
                while not self._history.may_ask(hole.venue_symbol) and not self._stop.wait(0.05):
                    pass
        self._out.flush()
        return len(holes)

    def watch(self) -> int:
        """Fetch what is missing until told to stop; return how many holes that was."""
        taken = 0
        while not self._stop.wait(self._settings.look_every_s):
            taken += self._take_due()
        return taken

    def _take_due(self) -> int:
        """Fetch what has been open for long enough and was not published lately."""
        forgotten = time.monotonic() - self._settings.again_s
        self._published = {hole: at for hole, at in self._published.items() if at > forgotten}
        taken = 0
        for hole in self._missing(since_s=self._settings.wait_s):
            if hole not in self._published and self._history.may_ask(hole.venue_symbol):
                if self._history.fetch(hole.venue_symbol, hole.first, hole.last):
                    # Until the lake has carried them into silver they still look missing.
                    self._published[hole] = time.monotonic()
                    taken += 1
        return taken

    def _missing(self, since_s: float) -> Iterator[Wanted]:
        """What silver.trades lacks of the rows that have been open for some seconds, the oldest first."""
        columns = ("symbol", "from_id", "to_id", "detected_at")
        rows = self._reader.rows_where(GAPS.name, columns, [("venue", "=", _VENUE), ("status", "=", "open")])
        named = [row for row in rows if row["from_id"] is not None]
        for row in sorted(named, key=lambda one: (one["detected_at"], one["from_id"])):
            if time.time() - row["detected_at"].timestamp() < since_s:
                continue
            ids = [("venue", "=", _VENUE), ("symbol", "=", row["symbol"])]
            ids += [("trade_id", ">=", row["from_id"]), ("trade_id", "<=", row["to_id"])]
            held = (trade["trade_id"] for trade in self._reader.rows_where(TRADES.name, ("trade_id",), ids))
            for first, last in ranges_without(row["from_id"], row["to_id"], held):
                hole = Wanted(row["symbol"], first, last)
                if hole.ids <= self._settings.most_ids:
                    yield hole
                elif hole not in self._too_wide:
                    self._too_wide.add(hole)
                    log.warning(
                        "%s: not asked for, no loss is as wide as backfill.most_ids: look at the ids there", hole
                    )


def ranges_without(first: int, last: int, held: Iterable[int]) -> list[tuple[int, int]]:
    """Give the ranges of first..last in which no id is held."""
    found, wanted = [], first
    for number in sorted(held):
        if number > wanted:
            found.append((wanted, number - 1))
        wanted = max(wanted, number + 1)
    return [*found, (wanted, last)] if wanted <= last else found
