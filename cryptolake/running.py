"""Runs the pipeline until it is told to stop, and begins again from the tables when the stream fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from pyspark.errors import PySparkException
from pyspark.sql.streaming.query import StreamingQuery

from cryptolake.landing import raise_if_named
from cryptolake.owner import owned_lake, owner_handlers
from cryptolake.pipeline import TICK_S, Pipeline
from cryptolake.requests import Inbox
from cryptolake.stream import start_stream
from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.settings import Settings

log = logging.getLogger(__name__)


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
            stream(lake, pipeline, bootstrap_servers, until_idle, stop, serve)
            return
        except PySparkException as error:
            _raise_if_final(pipeline.failure, error, attempt, lake)
            log.warning("stream failed (%s); starting again from the tables", _first_line(error))
        if stop.wait(limits.restart_backoff_s):
            return


def stream(
    lake: Lake,
    pipeline: Pipeline,
    bootstrap_servers: str,
    until_idle: bool,
    stop: threading.Event,
    serve: Callable[[], None],
) -> None:
    """Carry the stream's batches until it ends or is told to stop; between them, look after what time brings.

    Args:
        lake: the lake this process owns.
        pipeline: gets the batches.
        bootstrap_servers: the brokers.
        until_idle: take what is there, close every minute and return.
        stop: set it to end after the batch at work.
        serve: called between batches, for commands of other processes.
    """
    query = start_stream(lake.spark, lake.settings, bootstrap_servers, pipeline.on_batch, until_idle=until_idle)
    try:
        while query.isActive and not stop.is_set():
            pipeline.on_tick(backlog=bool(query.status["isDataAvailable"]))
            serve()
            pipeline.tend()
            query.awaitTermination(TICK_S)  # type: ignore[arg-type] # it takes fractions of a second, too
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


def _raise_if_final(failure: Exception | None, error: Exception, attempt: int, lake: Lake) -> None:
    raise_if_named(failure, error, lake)
    limit = lake.settings.lake.restart_limit
    if attempt >= limit:
        raise CryptolakeError(
            f"The stream failed {limit + 1} times, last: {_first_line(error)}", "See the log of the lake."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
