"""Two small tables, and rows for them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import LongType, StringType, StructType

from lakehouse.lake import Lake
from lakehouse.table import Table, column

PRICES = Table(
    name="silver.test_prices",
    comment="A table of a test.",
    schema=StructType([column("symbol", StringType(), "name"), column("price", LongType(), "cents")]),
    key=("symbol",),
    writer="test",
)
LOG = Table(
    name="silver.test_log",
    comment="An append-only table of a test.",
    schema=PRICES.schema,
    key=("symbol",),
    writer="test",
    append_only=True,
)


def rows(spark: SparkSession, **prices: int) -> DataFrame:
    return spark.createDataFrame(list(prices.items()), "symbol string, price bigint")


def stored(lake: Lake, table: Table) -> list[tuple[str, int]]:
    return sorted((row["symbol"], row["price"]) for row in lake.rows_where(table, ()).to_pylist())
