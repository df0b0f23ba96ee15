"""An upsert without Spark leaves what Spark's MERGE leaves: rows, change feed and marks, whatever it is given."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from experiments import SEED
from plain_tables import PRICES, stored
from pyspark.sql import SparkSession

from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake, Txn
from lakehouse.maintenance.log_folder import LogFolder
from lakehouse.settings import Settings
from lakehouse.table import Table
from lakehouse.upserting import ConstraintError

FED = replace(PRICES, properties={"delta.enableChangeDataFeed": "true"})
BY_HAND, BY_SPARK = (replace(FED, name=f"silver.test_{name}") for name in ("by_hand", "by_spark"))


def prices(held: dict[str | None, int]) -> pa.Table:
    return pa.table({"symbol": list(held), "price": list(held.values())}).select(["symbol", "price"]).cast(schema())


def schema() -> pa.Schema:
    return contract_schema(FED)


def keys(names: list[str]) -> pa.Table:
    return pa.table({"symbol": names})


class WithoutHands(Lake):
    """Merges as in a catalog."""

    def upsert(self, table: Table, *args: Any, **kwargs: Any) -> int | None:
        hidden = self.past_spark
        self.past_spark = lambda _: None  # type: ignore[method-assign]
        try:
            return super().upsert(table, *args, **kwargs)
        finally:
            self.past_spark = hidden  # type: ignore[method-assign]


def feed(spark: SparkSession, lake: Lake, table: Table, version: int) -> list[tuple[Any, ...]]:
    options = {"readChangeFeed": "true", "startingVersion": version, "endingVersion": version}
    changes = spark.read.format("delta").options(**options).load(str(lake.path(table)))
    return sorted((row["_change_type"], row["symbol"], row["price"]) for row in changes.collect())


def test_random_upserts_are_those_of_spark(lake: Lake, spark: SparkSession, settings: Settings) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    chance = random.Random(SEED)  # noqa: S311
    by_spark = WithoutHands(spark, settings)
    lake.create(BY_HAND, BY_SPARK)
    for number in range(5):
        first = prices({f"{number}{letter}": chance.randrange(9) for letter in "abcd"})
        lake.append_rows(BY_HAND, first)
        by_spark.append_rows(BY_SPARK, first)
    names = [f"{number}{letter}" for number in range(6) for letter in "abcdef"]
    for number in range(4):
        some = prices({name: chance.randrange(9) for name in chance.sample(names, chance.randrange(1, 9))})
        others = [name for name in names if name not in some["symbol"].to_pylist()]
        gone = keys(chance.sample(others, chance.randrange(4))) if number % 2 else None
        txn = Txn("test/upsert", number + 1)
        version = lake.upsert(BY_HAND, some, txn, delete=gone)
        assert version == by_spark.upsert(BY_SPARK, some, txn, delete=gone)
        assert version is not None
        assert stored(lake, BY_HAND) == stored(lake, BY_SPARK)
        assert feed(spark, lake, BY_HAND, version) == feed(spark, lake, BY_SPARK, version)
        assert lake.mark(BY_HAND, "test/upsert") == number + 1
        assert Lake(spark, settings).mark(BY_HAND, "test/upsert") == number + 1
        few = lake.few_changes(BY_HAND, version - 1, version)
        spark_few = lake.few_changes(BY_SPARK, version - 1, version)
        assert few is not None
        assert spark_few is not None
        assert sorted(map(str, few.to_pylist())) == sorted(map(str, spark_few.to_pylist()))
        assert lake.upsert(BY_HAND, some, txn, delete=gone) is None
    # What both engines append to afterwards, they read.
    lake.append_rows(BY_HAND, prices({"z": 1}))
    assert stored(lake, BY_HAND)[-1] == ("z", 1)


def test_only_files_that_hold_such_rows_are_written_anew(lake: Lake) -> None:
    lake.create(FED)
    for letter in "abc":
        lake.append_rows(FED, prices({f"{letter}1": 1, f"{letter}2": 2}))
    before = {path.name for path in lake.path(FED).glob("*.parquet")}
    version = lake.upsert(FED, prices({"b2": 7, "d1": 8}))
    assert version is not None
    actions = list(LogFolder(lake.path(FED)).actions(version, "remove", "add", "cdc"))
    assert [kind for kind, _ in actions] == ["remove", "add", "add", "cdc"]
    assert actions[0][1]["path"] in before
    assert stored(lake, FED) == [("a1", 1), ("a2", 2), ("b1", 1), ("b2", 7), ("c1", 1), ("c2", 2), ("d1", 8)]


def test_another_writer_in_between_is_taken_into_account(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.create(FED)
    lake.append_rows(FED, prices({"a": 1}))
    commit, done = LogFolder.commit, []

    def slow(log: LogFolder, version: int, actions: Any) -> bool:
        if not done:
            done.append(version)
            assert lake.append_rows(FED, prices({"b": 2})) == version
        return commit(log, version, actions)

    monkeypatch.setattr(LogFolder, "commit", slow)
    assert lake.upsert(FED, prices({"b": 3})) == done[0] + 1
    assert stored(lake, FED) == [("a", 1), ("b", 3)]
    named = {action["path"] for version in range(4) for _, action in LogFolder(lake.path(FED)).actions(version, "add")}
    assert {path.name for path in lake.path(FED).glob("*.parquet")} == named


def test_a_row_that_breaks_a_constraint_is_named_and_nothing_is_written(lake: Lake) -> None:
    table = replace(FED, constraints={"positive": "price > 0"})
    lake.create(table)
    lake.append_rows(table, prices({"a": 1}))
    with pytest.raises(ConstraintError, match=r"2 rows for .* break its constraint positive: price > 0"):
        lake.upsert(table, prices({"a": -1, "b": 0, "c": 1}))
    assert stored(lake, table) == [("a", 1)]
    assert len(list(lake.path(table).glob("*.parquet"))) == 1
