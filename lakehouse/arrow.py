"""Arrow tables to Spark."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession


def frame_of(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Make a frame of all rows.

    Spark 4.1's own `createDataFrame` loses every row that comes after an empty batch, such as a filter leaves.
    """
    return spark.createDataFrame(rows.combine_chunks())
