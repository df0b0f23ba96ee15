"""Which steps, in which order: on one machine one micro-batch carries the data through all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from bronze import tables as bronze_tables
from bronze.land import Land
from bronze.topics import Topics
from cryptolake.lake_status import LakeStatus
from cryptolake.maintain import Maintained, maintain
from cryptolake.replaying import replay_groups
from cryptolake.requests import Inbox
from cryptolake.stopwatch import Stopwatch
from cryptolake.stream import checkpoint_folder, start_stream
from cryptolake.upkeep import Upkeep
from gold import tables as gold_tables
from lakehouse.errors import CryptolakeError, OffsetsLostError
from lakehouse.home import lake_folder
from lakehouse.lake import Lake
from lakehouse.lock import OwnerLock
from lakehouse.session import spark_session
from lakehouse.settings import Settings
from ml.predict import Predict
from silver import tables as silver_tables
from silver.aggregate import Aggregate
from silver.refine import Refine, Refined
from silver.selection import Selection
from silver.symbol_table import seed

log = logging.getLogger(__name__)
_TICK_S = 0.5
_DATA_LOSS = ("KAFKA_DATA_LOSS", "Some data may have been lost")  # how Spark's driver and tasks say it

Handlers = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]


@contextmanager
def owned_lake(settings: Settings) -> Iterator[Lake]:
    """Start Spark, own the lake, create its tables, and let go of all at the end.

    Raises:
        LakeLockedError: another process owns the lake.
    """
    spark = spark_session(settings)
    # On a platform the jobs keep to one run each and the catalog orders commits; a local disk has only this lock.
    lock = None if settings.lake.catalog else OwnerLock(spark, lake_folder(settings))
    try:
        if lock:
            lock.acquire()
        lake = Lake(spark, settings)
        lake.create(*bronze_tables.TABLES, *silver_tables.TABLES, *gold_tables.TABLES)
        yield lake
    finally:
        if lock:
            lock.release()
            spark.stop()


class Pipeline:
    """Land, refine, aggregate and predict in one batch; every part of it can be lost and is rebuilt from the tables.

    Args:
        lake: the lake this process owns.
        bootstrap_servers: the brokers.
    """

    def __init__(self, lake: Lake, bootstrap_servers: str) -> None:
        self._lake = lake
        self._land = _land(lake, bootstrap_servers)
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
            if time.monotonic() - ticked_s > _TICK_S:
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
            refined = self._refine.run(landed.frames if landed.few is None else landed.few, landed.version)
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


def run(settings: Settings, bootstrap_servers: str, *, until_idle: bool, stop: threading.Event) -> None:
    """Own the lake and carry Kafka's records into all its tables.

    Args:
        settings: the whole tree.
        bootstrap_servers: the brokers.
        until_idle: process what is there, close every minute and return.
        stop: set it to end after the batch at work.

    Raises:
        CryptolakeError: what cannot be mended by starting again.
    """
    with owned_lake(settings) as lake:
        carry(lake, bootstrap_servers, until_idle=until_idle, stop=stop)


def carry(lake: Lake, bootstrap_servers: str, *, until_idle: bool, stop: threading.Event) -> None:
    """As `run`, into a lake that this process owns."""
    inbox, limits = Inbox(lake.settings.home), lake.settings.lake
    for attempt in range(limits.restart_limit + 1):
        pipeline = Pipeline(lake, bootstrap_servers)
        handlers = owner_handlers(lake, pipeline)
        try:
            pipeline.drain()
            serve = partial(inbox.serve, handlers)
            _stream(lake, pipeline, bootstrap_servers, until_idle, stop, serve)
            return
        except PySparkException as error:
            _raise_if_final(pipeline.failure, error, attempt, lake)
            log.warning("stream failed (%s); starting again from the tables", _first_line(error))
        if stop.wait(limits.restart_backoff_s):
            return


def run_step(name: str, settings: Settings, bootstrap_servers: Callable[[], str]) -> int:
    """Run one step alone over what the table above it holds, and return how many versions or batches it consumed.

    Args:
        name: land, refine, aggregate or predict.
        settings: the whole tree.
        bootstrap_servers: asked for by `land` only.

    Raises:
        CryptolakeError: no such step.
    """
    if name not in STEPS:
        raise CryptolakeError(f"No step {name!r}", f"Steps: {', '.join(STEPS)}.")
    with owned_lake(settings) as lake:
        return take_step(name, lake, bootstrap_servers)


def take_step(name: str, lake: Lake, bootstrap_servers: Callable[[], str]) -> int:
    """As `run_step`, on a lake that this process owns."""
    if name == "land":
        return _land_alone(lake, bootstrap_servers())
    if name == "aggregate":
        aggregate = Aggregate(lake)
        consumed = aggregate.drain()
        aggregate.close_all()
        return consumed
    if name == "refine":
        seed(lake)
        refine = Refine(lake)
        consumed = refine.drain()
        refine.on_timer(time.time())
        return consumed
    return Predict(lake).drain()


STEPS = ("land", "refine", "aggregate", "predict")


def owner_handlers(lake: Lake, pipeline: Pipeline) -> Handlers:
    """What the owner of the lake does for commands that find it running."""

    def train(_: dict[str, Any]) -> dict[str, Any]:
        from ml.training import train as train_champion

        # Beside the batches: training writes only gold.model_scores, and in one JVM appends do not hurt each other.
        report = train_champion(lake, lake.settings)
        pipeline.predict()
        return {"summary": str(report)}

    def predict(_: dict[str, Any]) -> dict[str, Any]:
        return {"versions": pipeline.predict()}

    def tend(_: dict[str, Any]) -> dict[str, Any]:
        return {"tables": [done.as_json() for done in pipeline.maintain()]}

    def replay(arguments: dict[str, Any]) -> dict[str, Any]:
        return dict(pipeline.replay_quarantine(Selection.of(arguments)))

    return {"train": train, "predict": predict, "maintain": tend, "quarantine replay": replay}


def _stream(
    lake: Lake,
    pipeline: Pipeline,
    bootstrap_servers: str,
    until_idle: bool,
    stop: threading.Event,
    serve: Callable[[], None],
) -> None:
    query = start_stream(lake.spark, lake.settings, bootstrap_servers, pipeline.on_batch, until_idle=until_idle)
    try:
        while query.isActive and not stop.is_set():
            pipeline.on_tick(backlog=bool(query.status["isDataAvailable"]))
            serve()
            pipeline.tend()
            query.awaitTermination(_TICK_S)  # type: ignore[arg-type] # it takes fractions of a second, too
        if (error := query.exception()) is not None:
            raise error
        if until_idle and not stop.is_set():
            pipeline.close()
    finally:
        _stop(query, pipeline)


def _stop(query: StreamingQuery, pipeline: Pipeline) -> None:
    if query.isActive:
        with pipeline.between_batches():
            query.stop()


def _land(lake: Lake, bootstrap_servers: str) -> Land:
    return Land(lake, Topics(lake.settings, bootstrap_servers), checkpoint_folder(lake.settings))


def _land_alone(lake: Lake, bootstrap_servers: str) -> int:
    land = _land(lake, bootstrap_servers)
    batches = 0
    failure: Exception | None = None

    def on_batch(records: DataFrame, batch_id: int) -> None:
        nonlocal batches, failure
        try:
            landed = land.run(records, batch_id)
        except Exception as error:
            failure = error
            raise
        if landed is not None:
            landed.release()
            batches += 1

    try:
        query = start_stream(lake.spark, lake.settings, bootstrap_servers, on_batch, until_idle=True)
        query.awaitTermination()
    except PySparkException as error:
        _raise_if_named(failure, error, lake)
        raise
    return batches


def _raise_if_final(failure: Exception | None, error: Exception, attempt: int, lake: Lake) -> None:
    _raise_if_named(failure, error, lake)
    limit = lake.settings.lake.restart_limit
    if attempt >= limit:
        raise CryptolakeError(
            f"The stream failed {limit + 1} times, last: {_first_line(error)}", "See the log of the lake."
        ) from error


def _raise_if_named(failure: Exception | None, error: Exception, lake: Lake) -> None:
    """Raise what a user can act on, where the failure is such; starting again would not mend it."""
    if isinstance(failure, CryptolakeError):
        raise failure
    if any(words in str(error) for words in _DATA_LOSS):
        raise OffsetsLostError(
            "Kafka no longer holds records at which the checkpoint goes on",
            f"Remove the folder {checkpoint_folder(lake.settings)} and start again: what bronze lacks is then named.",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
