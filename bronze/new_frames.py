"""The rows that a batch of Kafka's records brings to bronze: a few are taken into memory, of many Spark keeps hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from bronze.tables import FRAMES
from lakehouse.lake import Lake, Txn

Frames: TypeAlias = "DataFrame | pa.Table"
_RECORD = ("topic", "partition", "offset", "key", "value", "headers", "timestamp")
_PARTITION = ["topic", "topic_id", "partition"]
_TOO_MUCH = "spark.driver.maxResultSize"  # the setting that Spark names when a job would yield more


@dataclass(frozen=True)
class Span:
    """What a batch holds of one partition: the first and the last offset, and how many rows.

    Args:
        topic: its name.
        topic_id: None when nobody knows it.
        partition: of the topic.
        first: offset.
        last: offset.
        rows: at most all from the first to the last.
    """

    topic: str
    topic_id: str | None
    partition: int
    first: int
    last: int
    rows: int


@dataclass(frozen=True)
class NewFrames:
    """Rows for bronze.frames.

    Args:
        rows: in memory, or cached until `release`.
        spans: of every partition that has some.
    """

    rows: Frames
    spans: Sequence[Span]

    def append_to(self, lake: Lake, txn: Txn) -> int | None:
        """Append them in one commit; None when it was done before."""
        if isinstance(self.rows, pa.Table):
            return lake.append_rows(FRAMES, self.rows, txn)
        return lake.append(FRAMES, self.rows, txn, count=sum(span.rows for span in self.spans))

    def release(self) -> None:
        """Let cached rows go."""
        if isinstance(self.rows, DataFrame):
            self.rows.unpersist()


def few_records(records: DataFrame, are_few: Callable[[int, int], bool]) -> pa.Table | None:
    """Take a batch of Kafka's records into memory in one job; None when there are too many for it.

    Args:
        records: columns of Spark's Kafka source, headers included.
        are_few: says of a number of records and one of bytes whether they may be held in memory.
    """
    try:
        found = _on_every_core(records.select(*_RECORD)).toArrow()
    except Py4JJavaError as error:  # a failed job that collects has no error of PySpark's own
        if _TOO_MUCH not in str(error):
            raise
        return None
    return found if are_few(found.num_rows, pc.sum(pc.binary_length(found["value"])).as_py() or 0) else None


def few_frames(frames: pa.Table) -> NewFrames:
    """Rows in memory, and where they begin and end."""
    found = frames.group_by(_PARTITION).aggregate([("offset", "min"), ("offset", "max"), ("offset", "count")])
    names = {"offset_min": "first", "offset_max": "last", "offset_count": "rows"}
    return NewFrames(frames, [Span(**{names.get(k, k): v for k, v in row.items()}) for row in found.to_pylist()])


def many_frames(frames: DataFrame) -> NewFrames:
    """Rows that Spark caches, and where they begin and end."""
    cached = _on_every_core(frames).persist()
    found = cached.groupBy(*_PARTITION).agg(
        f.min("offset").alias("first"), f.max("offset").alias("last"), f.count(f.lit(1)).alias("rows")
    )
    return NewFrames(cached, [Span(**row.asDict()) for row in found.collect()])


def _on_every_core(frames: DataFrame) -> DataFrame:
    # Kafka gives a task for every partition of every topic: 18 tasks for 2,000 frames, in each job of each step.
    return frames.coalesce(frames.sparkSession.sparkContext.defaultParallelism)
