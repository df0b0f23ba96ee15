"""What is not there: rows that could not be used, and what we know we did not hear."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, BinaryType, IntegerType, LongType, StringType, StructType, TimestampType

from lakehouse.table import Table, column
from silver.contracts.columns import provenance

QUARANTINE = Table(
    name="silver.quarantine",
    comment="Every row that could not be used, with its raw bytes and the reasons.",
    schema=StructType(
        [
            *provenance()[:4],
            column("row", IntegerType(), "place in the frame; -1 for the whole frame"),
            column("venue", StringType(), "source of the frame"),
            column("channel", StringType(), "channel of the frame"),
            column("key", StringType(), "Kafka message key"),
            column("session_id", StringType(), "the connection that brought the frame"),
            column("sequence", LongType(), "place of the frame in its session"),
            column("origin", StringType(), "stream, backfill or replay"),
            column("payload", BinaryType(), "the raw bytes of the frame"),
            column("reasons", ArrayType(StringType()), "every rule that the row breaks"),
            column("rule_version", StringType(), "version of the rules that judged it"),
            column("received_at", TimestampType(), "when the collector received it (UTC, us)"),
            column("first_seen", TimestampType(), "when it was quarantined (UTC, us)"),
            column("replayed_at", TimestampType(), "when a replay came to this outcome (UTC, us)"),
            column("replay_rule_version", StringType(), "version of the rules that the replay tried"),
            column("outcome", StringType(), "silver, copy, split, empty: dealt with; rejected, conflict: still bad"),
        ]
    ),
    key=("topic_id", "partition", "offset", "row"),
    writer="refine",
)

GAPS = Table(
    name="silver.gaps",
    comment="What we know we did not hear: lost connections and missing ids.",
    schema=StructType(
        [
            column("venue", StringType(), "the market"),
            column("symbol", StringType(), "canonical symbol, or * for all of the connection"),
            column("from_id", LongType(), "first missing id, where the venue has ids"),
            column("to_id", LongType(), "last missing id"),
            column("from_time", TimestampType(), "start of the silence (UTC, us)"),
            column("to_time", TimestampType(), "end of the silence (UTC, us)"),
            column("detected_at", TimestampType(), "when it was recorded"),
            column("status", StringType(), "open, closed or unrecoverable"),
            column("closed_at", TimestampType(), "when it was closed"),
            column("reason", StringType(), "what happened"),
            *provenance(),
        ]
    ),
    key=("venue", "symbol", "from_id", "from_time"),
    writer="refine",
)
