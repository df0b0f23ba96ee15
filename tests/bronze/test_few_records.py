"""Records in memory become the very rows that Spark makes of them, whatever their headers hold."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from experiments import SEED
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as t

from bronze.few_records import few_frames_above, frames_of_few
from bronze.new_frames import few_frames, few_records, many_frames
from bronze.records import frames_above, frames_of_records
from bronze.tables import FRAMES

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
IDS = {"binance.trade": "T1", "bybit-spot.trade": "T2"}
LANDED = {("T1", 0): 3, ("T2", 1): 10_000}
NAMES = ("venue", "channel", "session_id", "sequence", "received_at_us", "origin")
ODD_TEXTS = (
    None,
    b"",
    b"binance",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    "\u0661\u0662".encode(),
    b"\x00",
    b"nan",
    b"null",
)
ODD_NUMBERS = (
    *(
        b"7",
        b"-7",
        b"+7",
        b" 7 ",
        b"\t7\n",
        b"\x007",
        b"007",
        b"7.0",
        b"7.9",
        b"7e3",
        b"0x7",
        b"1_000",
        b"1,000",
        b"--7",
    ),
    *(b"+", b"-", b" ", b"7 7", b"7L", b"\xc2\xa07", b"9223372036854775807", b"9223372036854775808", b"-0", b"- 7"),
    *(b"-9223372036854775808", b"99999999999999999999", b"4102444800000000", b"4102444800000001", b"1723161255000000"),
)
SCHEMA = t.StructType(
    [
        t.StructField("key", t.BinaryType()),
        t.StructField("value", t.BinaryType()),
        t.StructField("topic", t.StringType()),
        t.StructField("partition", t.IntegerType()),
        t.StructField("offset", t.LongType()),
        t.StructField("timestamp", t.TimestampType()),
        t.StructField(
            "headers",
            t.ArrayType(t.StructType([t.StructField("key", t.StringType()), t.StructField("value", t.BinaryType())])),
        ),
    ]
)


@pytest.fixture(scope="module")
def records(spark: SparkSession) -> DataFrame:
    """Every odd text and number in every header, headers twice, without a value, and missing."""
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    chance = random.Random(SEED)  # noqa: S311
    headers: list[Any] = [None, [], [("other", b"1")]]
    for name in NAMES:
        headers += [[(name, value)] for value in (*ODD_TEXTS, *ODD_NUMBERS)]
        headers.append([(name, b"1"), (name, b"2"), ("other", b"3")])
    certain = len(headers)
    for _ in range(300):
        headers.append([(name, chance.choice((*ODD_TEXTS, *ODD_NUMBERS))) for name in chance.choices(NAMES, k=7)])
    topics = (*IDS, "unknown.trade")
    rows = [
        (
            chance.choice(ODD_TEXTS),
            chance.choice(ODD_TEXTS),
            chance.choice(topics),
            0 if number < certain else chance.randrange(2),  # of the other partition some are landed, and left out
            number,
            NOW,
            held,
        )
        for number, held in enumerate(headers)
    ]
    return spark.createDataFrame(rows, SCHEMA)


@pytest.fixture
def little_room(spark: SparkSession) -> Iterator[None]:
    """No job may bring more than a byte."""
    conf = spark.sparkContext._jsc.sc().conf()  # type: ignore[union-attr] # noqa: SLF001
    before = conf.get("spark.driver.maxResultSize")
    conf.set("spark.driver.maxResultSize", "1b")
    yield
    conf.set("spark.driver.maxResultSize", before)


def test_they_are_the_rows_that_spark_makes(records: DataFrame) -> None:
    few = few_records(records, lambda *_: True)
    assert few is not None
    in_memory = few_frames(few_frames_above(frames_of_few(few, IDS, NOW), LANDED))
    by_spark = many_frames(frames_above(frames_of_records(records, IDS, NOW), LANDED))
    assert isinstance(in_memory.rows, pa.Table)
    assert isinstance(by_spark.rows, DataFrame)
    wanted = by_spark.rows.select(*FRAMES.columns).toArrow().sort_by("offset").to_pylist()
    found = in_memory.rows.sort_by("offset").to_pylist()
    for one, other in zip(found, wanted, strict=True):
        assert one == other
    assert sorted(map(str, in_memory.spans)) == sorted(map(str, by_spark.spans))
    assert len({row["sequence"] for row in found}) >= 10
    assert {row["topic_id"] for row in found} == {"T1", "T2", None}
    by_spark.release()


def test_none_are_no_rows(records: DataFrame) -> None:
    few = few_records(records.limit(0), lambda *_: True)
    assert few is not None
    assert few_frames(few_frames_above(frames_of_few(few, IDS, NOW), LANDED)).spans == []


def test_what_is_too_much_for_memory_stays_with_spark(records: DataFrame, little_room: None) -> None:
    assert few_records(records, lambda *_: True) is None


@pytest.mark.parametrize("most", [(10, 10**9), (10**9, 10)])
def test_so_does_what_is_no_longer_few(records: DataFrame, most: tuple[int, int]) -> None:
    assert few_records(records, lambda rows, size: rows <= most[0] and size <= most[1]) is None
