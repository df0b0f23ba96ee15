"""Marks are found whatever came after them, and survive whoever else writes to the table."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable
from plain_tables import LOG, PRICES, rows
from pyspark.sql import SparkSession

from lakehouse.lake import Lake, Txn
from lakehouse.marks import marks_in, newest_marks, note_of


@pytest.mark.parametrize(
    "note", [None, "", "hello", "[1]", "null", '{"marks": 3}', '{"marks": {"a": "b"}}', '{"a": 1}']
)
def test_what_others_write_is_no_note(note: str | None) -> None:
    assert marks_in(note) is None
    assert newest_marks([note, note_of({"app": 3}), note_of({"app": 2})]) == {"app": 3}
    assert newest_marks([note]) is None


def reopened(lake: Lake) -> Lake:
    return Lake(lake.spark, lake.settings)


def test_every_commit_carries_the_marks_of_all_steps(lake: Lake, spark: SparkSession) -> None:
    lake.create(PRICES)
    lake.append(PRICES, rows(spark, a=1), Txn("one", 7))
    lake.upsert(PRICES, rows(spark, a=2).toArrow(), Txn("two", 3))
    lake.append(PRICES, rows(spark, b=3))
    assert marks_in(DeltaTable(str(lake.path(PRICES))).history(1)[0]["userMetadata"]) == {"one": 7, "two": 3}
    assert (reopened(lake).mark(PRICES, "one"), reopened(lake).mark(PRICES, "two")) == (7, 3)


def test_commits_of_others_do_not_hide_the_marks(lake: Lake, spark: SparkSession) -> None:
    lake.create(PRICES)
    lake.append(PRICES, rows(spark, a=1), Txn("one", 7))
    for number in range(25):  # more than are read at once
        spark.sql(f"ALTER TABLE {lake.identifier(PRICES)} SET TBLPROPERTIES ('note' = '{number}')")
    assert reopened(lake).mark(PRICES, "one") == 7
    assert lake.append(PRICES, rows(spark, a=1), Txn("one", 7)) is None
    lake.append(PRICES, rows(spark, b=1), Txn("two", 1))
    assert reopened(lake).mark(PRICES, "one") == 7


def test_two_lakes_on_one_folder_do_not_take_each_others_marks_back(lake: Lake, spark: SparkSession) -> None:
    lake.create(PRICES)
    other = reopened(lake)
    lake.append(PRICES, rows(spark, a=1), Txn("one", 1))
    other.append(PRICES, rows(spark, b=1), Txn("two", 1))
    lake.append(PRICES, rows(spark, c=1), Txn("one", 2))
    assert (other.mark(PRICES, "one"), reopened(lake).mark(PRICES, "two")) == (2, 1)


def test_a_mark_is_left_without_rows(lake: Lake) -> None:
    lake.create(LOG)
    lake.advance(LOG, "one", 5)
    version = lake.version(LOG)
    lake.advance(LOG, "one", 5)
    lake.advance(LOG, "one", 4)
    assert (reopened(lake).mark(LOG, "one"), lake.version(LOG)) == (5, version)


def test_a_carried_mark_is_there_with_the_next_commit(lake: Lake, spark: SparkSession) -> None:
    lake.create(PRICES)
    lake.carry(PRICES, "one", 4)
    assert lake.mark(PRICES, "one") is None
    assert lake.on(spark).append(PRICES, rows(spark, a=1)) == 1
    assert reopened(lake).mark(PRICES, "one") == 4


def test_clean_up_keeps_the_marks(lake: Lake, spark: SparkSession) -> None:
    lake.create(PRICES)
    for number in range(3):
        lake.append(PRICES, rows(spark, a=number), Txn("one", number + 1))
    with lake.keeping_marks(PRICES):
        spark.sql(f"OPTIMIZE {lake.identifier(PRICES)}")
    newest = DeltaTable(str(lake.path(PRICES))).history(1)[0]
    assert newest["operation"] == "OPTIMIZE"
    assert marks_in(newest["userMetadata"]) == {"one": 3}


def test_an_empty_table_is_told_without_reading_it(lake: Lake, spark: SparkSession) -> None:
    lake.create(PRICES)
    assert lake.is_empty(PRICES)
    lake.advance(PRICES, "one", 5)
    assert lake.is_empty(PRICES)
    lake.append(PRICES, rows(spark, a=1))
    assert not lake.is_empty(PRICES)
    lake.upsert(PRICES, rows(spark).toArrow(), delete=rows(spark, a=1).toArrow())
    assert lake.is_empty(PRICES)
