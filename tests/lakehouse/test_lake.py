"""What every step relies on: writes that happen once, marks that are found again, frames that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plain_tables import LOG, PRICES, rows, stored
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StructType

from lakehouse.errors import SchemaMismatchError
from lakehouse.lake import COMMIT_VERSION, Lake, Txn
from lakehouse.settings import Settings
from lakehouse.table import column

FED = replace(PRICES, name="silver.test_fed", properties={"delta.enableChangeDataFeed": "true"})


@pytest.fixture
def prices(lake: Lake) -> Lake:
    lake.create(PRICES, LOG)
    return lake


def test_an_append_of_a_version_that_was_written_is_skipped(prices: Lake, spark: SparkSession) -> None:
    first = prices.append(PRICES, rows(spark, a=1), Txn("test/app", 7))
    assert first == 1
    assert prices.append(PRICES, rows(spark, a=1), Txn("test/app", 7)) is None
    assert prices.append(PRICES, rows(spark, a=1), Txn("test/app", 6)) is None
    assert prices.append(PRICES, rows(spark, b=2), Txn("test/other", 7)) == 2
    assert stored(prices, PRICES) == [("a", 1), ("b", 2)]
    assert prices.mark(PRICES, "test/app") == 7
    assert prices.mark(PRICES, "test/nobody") is None


def test_a_merge_leaves_nothing_behind_that_skips_the_next_append(prices: Lake, spark: SparkSession) -> None:
    prices.append(PRICES, rows(spark, a=1))
    assert prices.upsert(PRICES, rows(spark, a=10, b=2).toArrow(), Txn("test/merge", 3)) == 2
    assert prices.upsert(PRICES, rows(spark, a=99).toArrow(), Txn("test/merge", 3)) is None
    assert prices.append(PRICES, rows(spark, c=3)) == 3
    assert stored(prices, PRICES) == [("a", 10), ("b", 2), ("c", 3)]
    assert prices.mark(PRICES, "test/merge") == 3


def test_changes_are_the_rows_of_the_versions_asked_for(prices: Lake, spark: SparkSession) -> None:
    for version, name in enumerate("abc", start=1):
        assert prices.append(LOG, rows(spark, **{name: version})) == version
    changes = prices.read_changes(LOG, after_version=1, to_version=3)
    assert sorted((r["symbol"], r["_commit_version"]) for r in changes.collect()) == [("b", 2), ("c", 3)]


def test_changes_are_the_same_to_both_engines_through_merges_and_compaction(prices: Lake, spark: SparkSession) -> None:
    prices.create(FED)
    prices.append_rows(FED, rows(spark, a=1, b=2).toArrow())
    prices.upsert(FED, rows(spark, a=3, c=4).toArrow())
    spark.sql(f"OPTIMIZE {prices.identifier(FED)}")
    prices.append(FED, rows(spark, d=5), Txn("test/app", 1))
    prices.advance(FED, "test/app", 2)  # a commit without rows
    last = prices.version(FED)
    names = ("symbol", "price", "_commit_version")
    for low in range(last + 1):
        for high in range(low, last + 1):
            few = prices.few_changes(FED, low, high)
            assert few is not None
            told = sorted(tuple(row[name] for name in names) for row in few.to_pylist())
            counted = prices.select_changes(FED, "SELECT count(*) AS n, sum(price) AS total FROM {rows}", low, high)
            assert counted.to_pylist() == [{"n": len(told), "total": sum(row[1] for row in told) if told else None}]
            if low < high:
                changes = prices.read_changes(FED, low, high).collect()
                assert told == sorted(tuple(row[name] for name in names) for row in changes), (low, high)
    narrow = prices.settings.lake.model_copy(update={"few_frames": 2})
    assert Lake(spark, prices.settings.model_copy(update={"lake": narrow})).few_changes(FED, 0, last) is None


def test_how_many_rows_were_written_is_told_of_either_engines_commits(prices: Lake, spark: SparkSession) -> None:
    prices.append(LOG, rows(spark, a=1, b=2))
    prices.append_rows(LOG, rows(spark, c=3).toArrow())
    prices.advance(LOG, "test/app", 2)
    assert prices.rows_written(LOG, 0, 3) == {1: 2, 2: 1, 3: 0}
    assert prices.rows_written(LOG, 1, 2) == {2: 1}


def test_a_frame_that_differs_is_refused_with_every_difference(prices: Lake, spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", "1", True)], "name string, price string, extra boolean")
    with pytest.raises(SchemaMismatchError) as refused:
        prices.append(PRICES, frame)
    for difference in ("symbol is missing", "name is not in", "extra is not in", "price is string, not bigint"):
        assert difference in str(refused.value)
    assert stored(prices, PRICES) == []


def test_an_append_only_table_refuses_changes(prices: Lake, spark: SparkSession) -> None:
    prices.append(LOG, rows(spark, a=1))
    with pytest.raises(Exception, match="append"):
        prices.upsert(LOG, rows(spark, a=2).toArrow())


def test_in_a_catalog_the_marks_are_the_same(spark: SparkSession, settings: Settings) -> None:
    in_catalog = settings.model_copy(update={"lake": settings.lake.model_copy(update={"catalog": "spark_catalog"})})
    lake = Lake(spark, in_catalog)
    spark.sql("CREATE SCHEMA IF NOT EXISTS silver")
    try:
        lake.create(PRICES)
        lake.append(PRICES, rows(spark, a=1), Txn("test/app", 7))
        lake.upsert(PRICES, rows(spark, a=2).toArrow(), Txn("test/app", 9))
        assert lake.append(PRICES, rows(spark, a=3), Txn("test/app", 9)) is None
        assert (lake.mark(PRICES, "test/app"), lake.version(PRICES)) == (9, 2)
        assert lake.mark(PRICES, "test/nobody") is None
        assert lake.table_id(PRICES)
        assert stored(lake, PRICES) == [("a", 2)]
    finally:
        spark.sql("DROP TABLE IF EXISTS spark_catalog.silver.test_prices")


def test_an_older_table_gets_the_columns_that_it_lacks(prices: Lake, spark: SparkSession) -> None:
    first = prices.append(LOG, rows(spark, a=1))
    new = column("quantity", LongType(), "new")
    wider = replace(LOG, schema=StructType([LOG.schema["symbol"], new, LOG.schema["price"]]))
    prices.create(wider)
    assert prices.read(wider).columns == ["symbol", "quantity", "price"]
    last = prices.append(wider, spark.createDataFrame([("b", 3, 2)], "symbol string, quantity bigint, price bigint"))
    assert first is not None
    assert last is not None
    changes = prices.read_changes(wider, first - 1, last).drop(COMMIT_VERSION)
    assert sorted(tuple(row) for row in changes.collect()) == [("a", None, 1), ("b", 3, 2)]
    prices.create(wider)
    assert prices.version(wider) == last
