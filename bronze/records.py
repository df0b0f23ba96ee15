"""Kafka's records as rows of bronze.frames, by Spark."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

# A header outside this range (1970 to 2100) is not a receive time in microseconds.
LATEST_US = 4_102_444_800_000_000


def frames_of_records(records: DataFrame, topic_ids: Mapping[str, str], ingested_at: dt.datetime) -> DataFrame:
    """Turn Kafka records into rows of bronze.frames; a header or key that is missing or garbled becomes null.

    Args:
        records: columns of Spark's Kafka source, headers included.
        topic_ids: Kafka's id of each topic by name; a topic that is not named gets a null topic_id.
        ingested_at: the time of landing.
    """
    ids = f.create_map(*[f.lit(text) for pair in topic_ids.items() for text in pair]) if topic_ids else None
    received_us = _header("received_at_us").try_cast("bigint")
    return records.select(
        (ids[f.col("topic")] if ids is not None else f.lit(None).cast("string")).alias("topic_id"),
        "topic",
        "partition",
        "offset",
        _header("venue").alias("venue"),
        _header("channel").alias("channel"),
        _text(f.col("key")).alias("key"),
        _header("session_id").alias("session_id"),
        _header("sequence").try_cast("bigint").alias("sequence"),
        f.when(received_us.between(0, LATEST_US), f.timestamp_micros(received_us)).alias("received_at"),
        _header("origin").alias("origin"),
        f.coalesce("value", f.lit(b"")).alias("payload"),
        f.col("timestamp").alias("kafka_time"),
        f.lit(ingested_at).alias("ingested_at"),
    )


def frames_above(frames: DataFrame, landed: Mapping[tuple[str, int], int]) -> DataFrame:
    """Keep the rows whose offset is above the highest landed one of their topic id and partition."""
    if not landed:
        return frames
    pairs = [f.lit(value) for (topic_id, part), top in landed.items() for value in (f"{topic_id}/{part}", top)]
    highest = f.create_map(*pairs)[f.concat_ws("/", "topic_id", "partition")]
    return frames.where(f.col("offset") > f.coalesce(highest, f.lit(-1)))


def _header(name: str) -> Column:
    # Not a map: two headers of one name would raise and kill the batch.
    return _text(f.expr(f"get(filter(headers, h -> h.key = '{name}'), 0).value"))


def _text(held: Column) -> Column:
    return f.try_validate_utf8(held.cast("string"))
