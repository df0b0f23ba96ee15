"""The one process that owns a lake: what it holds while it does, and what it does for commands that find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JNetworkError

from bronze import tables as bronze_tables
from cryptolake.pipeline import Pipeline
from gold import tables as gold_tables
from lakehouse.errors import JvmLostError
from lakehouse.home import lake_folder
from lakehouse.lake import Lake
from lakehouse.lock import OwnerLock
from lakehouse.session import spark_session
from lakehouse.settings import Settings
from silver import tables as silver_tables
from silver.selection import Selection

Handlers = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]


@contextmanager
def owned_lake(settings: Settings) -> Iterator[Lake]:
    """Start Spark, own the lake, create its tables, and let go of all at the end.

    Raises:
        LakeLockedError: another process owns the lake.
        JvmLostError: Spark's JVM has ended; this process is to end at once.
    """
    try:
        with _owned(settings) as lake:
            yield lake
    except (Py4JNetworkError, ConnectionRefusedError) as error:
        raise JvmLostError(
            "Spark's JVM has ended (killed, or out of memory). Start again: what it was at is taken up from the tables."
        ) from error


@contextmanager
def _owned(settings: Settings) -> Iterator[Lake]:
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
