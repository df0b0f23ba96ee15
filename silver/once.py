"""Plans that are run once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

# The minutes in such a plan are literals, so the code generated for a whole stage is new each time. Measured on bars of
# 60,000 trades, first / warm: 1.2 / 0.55 cpu-s without it, 2.5 / 0.7 with it; of 300,000 trades the same.
_CONFS = {"spark.sql.codegen.wholeStage": "false", "spark.sql.adaptive.enabled": "false"}


@contextmanager
def run_once(spark: SparkSession) -> Iterator[None]:
    """Spare plans that differ every time, and read little, the cost of compiling and re-planning them."""
    before = {key: spark.conf.get(key) for key in _CONFS}
    for key, value in _CONFS.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, was in before.items():
            spark.conf.set(key, was or "true")
