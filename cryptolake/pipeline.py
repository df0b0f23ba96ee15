"""Which steps, in which order: on one machine one micro-batch carries the data through all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame

from cryptolake.lake_status import LakeStatus
from cryptolake.landing import landing
from cryptolake.maintain import Maintained, maintain
from cryptolake.replaying import replay_groups
from cryptolake.stopwatch import Stopwatch
from cryptolake.upkeep import Upkeep
from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from ml.predict import Predict
from silver.aggregate import Aggregate
from silver.refine import Refine, Refined
from silver.selection import Selection
from silver.symbol_table import seed

log = logging.getLogger(__name__)
TICK_S = 0.5  # time closes minutes and opens gaps this often


class Pipeline:
    """Land, refine, aggregate and predict in one batch; every part of it can be lost and is rebuilt from the tables.

    Args:
        lake: the lake this process owns.
        bootstrap_servers: the brokers.
    """

    def __init__(self, lake: Lake, bootstrap_servers: str) -> None:
        self._lake = lake
        self._land = landing(lake, bootstrap_servers)
        self._refine = Refine(lake)
        self._aggregate = Aggregate(lake)
        self._predict = Predict(lake)
        self._status = LakeStatus(lake.settings)
        self._busy = threading.Lock()
        self._upkeep = Upkeep(lake, self._between_whole_batches, self._refine.advance_mark)
        self.failure: Exception | None = None

    def drain(self) -> None:
        """Carry on what a crash left between two tables, before the stream begins."""
        seed(self._lake)
        self._refine.drain()
        self._aggregate.drain()
        self._predict.drain()

    def on_batch(self, records: DataFrame, batch_id: int) -> None:
        """Carry one batch of Kafka records through all steps."""
        with self._busy:
            try:
                # foreachBatch runs on a clone of the session, which confs set on the outer one do not reach.
                self._lake.spark = records.sparkSession
                self._carry(records, batch_id)
            except Exception as error:
                self.failure = error
                raise

    def on_tick(self, *, backlog: bool) -> None:
        """Open gaps and close minutes of quiet venues, unless a batch is at work; Spark calls nobody without data."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            if not backlog:
                self._refine.on_timer(time.time())
            if self._aggregate.on_timer(time.time(), backlog=backlog):
                self._predict.drain()
        finally:
            self._busy.release()
        self._status.write()

    def tend(self) -> None:
        """Go on with the upkeep of the tables for some milliseconds."""
        if self.failure is None:
            self._upkeep.advance()

    def maintain(self) -> list[Maintained]:
        """Tend all tables now, between batches; minutes go on closing meanwhile."""
        return list(maintain(self._lake, self._between_whole_batches, self._tick_now_and_then()))

    def close(self) -> None:
        """Close every minute that is still open, and predict on them."""
        with self._busy:
            self._refine.on_timer(time.time())
            self._refine.close_gaps()
            self._refine.advance_mark()
            self._aggregate.drain()
            self._aggregate.close_all()
            self._predict.drain()

    def predict(self) -> int:
        """Predict on the closed minutes that have no prediction yet; return how many versions were consumed."""
        with self._busy:
            return self._predict.drain()

    def replay_quarantine(self, selection: Selection) -> Counter[str]:
        """Replay quarantined rows between batches; the minutes this corrects wait for the timer, as for late trades."""
        try:
            told = replay_groups(self._lake, selection, self._between_whole_batches)
        finally:
            with self._busy:
                self._refine.forget()
        with self._between_whole_batches():
            self._aggregate.drain()
        return told

    @contextmanager
    def _between_whole_batches(self) -> Iterator[None]:
        with self._busy:
            if self.failure is not None:  # the batch it cut off is finished first, by the next start of the stream
                raise CryptolakeError("The stream has just failed and starts again", "Give the command again.")
            yield

    def _tick_now_and_then(self) -> Callable[[], None]:
        ticked_s = time.monotonic()

        def tick() -> None:
            nonlocal ticked_s
            if time.monotonic() - ticked_s > TICK_S:
                self.on_tick(backlog=True)
                ticked_s = time.monotonic()

        return tick

    @contextmanager
    def between_batches(self) -> Iterator[None]:
        """Hold the next batch back."""
        with self._busy:
            yield

    def _carry(self, records: DataFrame, batch_id: int) -> None:
        watch = Stopwatch()
        landed = self._land.run(records, batch_id)
        watch.lap("land")
        if landed is None:
            return
        try:
            refined = self._refine.run(landed.frames, landed.version)
            watch.lap("refine")
            try:
                settled = self._aggregate_refined(refined)
                watch.lap("aggregate")
            finally:
                refined.release()
        finally:
            landed.release()
        if settled:
            self._predict.drain()
            watch.lap("predict")
        log.info("batch %d: %d frames, %s", batch_id, landed.rows, watch)
        self._status.batch(batch_id, landed.rows, watch.laps_s)

    def _aggregate_refined(self, refined: Refined) -> bool:
        settled = False
        if refined.candles is not None and refined.candles_version is not None:
            settled |= bool(self._aggregate.run_candles(refined.candles, refined.candles_version))
        if refined.trades is not None and refined.trades_version is not None:
            settled |= bool(self._aggregate.run(refined.trades, refined.trades_version))
        return settled
