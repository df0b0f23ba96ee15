"""One step alone, as a job or by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from cryptolake.landing import landing, raise_if_named
from cryptolake.owner import owned_lake
from cryptolake.stream import start_stream
from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from ml.predict import Predict
from silver.aggregate import Aggregate
from silver.refine import Refine
from silver.symbol_table import seed

STEPS = ("land", "refine", "aggregate", "predict")


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


def _land_alone(lake: Lake, bootstrap_servers: str) -> int:
    land = landing(lake, bootstrap_servers)
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
        raise_if_named(failure, error, lake)
        raise
    return batches
