"""What a model must beat to be worth anything."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as f

from ml.labels import DOWN, UP


def majority(up: int, down: int) -> str:
    """The commoner class of the training rows; up where they are equal.

    Args:
        up: training rows that went up.
        down: training rows that went down.
    """
    return UP if up >= down else DOWN


def last_direction(majority_class: str) -> Column:
    """The direction of the last six minutes goes on; the majority where the price stood still."""
    change = f.col("return_6")
    return f.when(change > 0, UP).when(change < 0, DOWN).otherwise(majority_class)
