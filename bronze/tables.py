"""The tables of bronze."""

from __future__ import annotations

from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType, StructType, TimestampType

from lakehouse.table import Table, column

FRAMES = Table(
    name="bronze.frames",
    comment="Every frame as the venue sent it, byte for byte, once per Kafka record.",
    schema=StructType(
        [
            column("topic_id", StringType(), "Kafka's id of the topic; a topic made anew has another"),
            column("topic", StringType(), "Kafka topic, <venue>.<channel>"),
            column("partition", IntegerType(), "Kafka partition"),
            column("offset", LongType(), "Kafka offset"),
            column("venue", StringType(), "source of the frame: binance, bybit-spot, coincap-binance, ..."),
            column("channel", StringType(), "trade, kline, gap, control, oversize, ..."),
            column("key", StringType(), "Kafka message key: the stream or the symbol the frame is about"),
            column("session_id", StringType(), "one connection (ULID), or the sha256 of a tape"),
            column("sequence", LongType(), "place of the frame in its session"),
            column("received_at", TimestampType(), "when the collector received it (UTC, us)"),
            column("origin", StringType(), "stream, backfill or replay"),
            column("payload", BinaryType(), "the frame's bytes"),
            column("kafka_time", TimestampType(), "the broker's time of the record"),
            column("ingested_at", TimestampType(), "when it was landed (UTC, us)"),
        ]
    ),
    key=("topic_id", "partition", "offset"),
    writer="land",
    append_only=True,
)

TABLES = (FRAMES,)
