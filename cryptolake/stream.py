"""The stream of Kafka records that feeds the lake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.settings import Settings

if TYPE_CHECKING:  # the demo's console, too, wants to know where the checkpoint is
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

# <venue>.<channel>; other topics of a shared cluster are not ours.
TOPIC_PATTERN = r"(binance|bybit-[a-z]+|coincap(-[a-z0-9]+)?|coingecko)\.[a-z_0-9]+"


def start_stream(
    spark: SparkSession,
    settings: Settings,
    bootstrap_servers: str,
    on_batch: Callable[[DataFrame, int], None],
    *,
    until_idle: bool,
) -> StreamingQuery:
    """Start carrying Kafka's records to `on_batch`, from where the checkpoint stopped.

    Args:
        spark: the session.
        settings: batch size, interval, security of the cluster.
        bootstrap_servers: the brokers.
        on_batch: called with the records of a batch and its id; never with an empty first start.
        until_idle: take what is there now and end.
    """
    source = (
        spark.readStream.format("kafka")
        .option("subscribePattern", TOPIC_PATTERN)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", "true")
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", settings.lake.max_offsets_per_trigger)
        .option("maxRecordsPerPartition", settings.lake.records_per_task)
        # A consumer asks ahead, and the broker keeps a question this long when there is nothing new; the next batch has
        # to wait for it, in every partition: with the default of 500 ms more than 4 s for 18 partitions.
        .option("kafka.fetch.max.wait.ms", "10")
    )
    for key, value in kafka_options(settings, bootstrap_servers).items():
        source = source.option(f"kafka.{key}", value)
    writer = (
        source.load()
        .writeStream.queryName("land")
        .option("checkpointLocation", str(checkpoint_folder(settings)))
        .foreachBatch(on_batch)
    )
    if until_idle:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{settings.lake.trigger_interval_ms} milliseconds").start()


def checkpoint_folder(settings: Settings) -> Path:
    """Where the stream keeps its offsets; made anew it loses and doubles nothing."""
    return settings.home.resolve() / "checkpoints" / "land"


def kafka_options(settings: Settings, bootstrap_servers: str) -> dict[str, str]:
    """The Java client's properties for the cluster of the settings."""
    kafka = settings.kafka
    options = {"bootstrap.servers": bootstrap_servers, "security.protocol": kafka.security_protocol}
    if kafka.sasl_mechanism:
        login = "plain.PlainLoginModule" if kafka.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
        quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (kafka.sasl_username or "", password)]
        options["sasl.mechanism"] = kafka.sasl_mechanism
        options["sasl.jaas.config"] = (
            f'org.apache.kafka.common.security.{login} required username="{quoted[0]}" password="{quoted[1]}";'
        )
    if kafka.ssl_cafile:
        options |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": kafka.ssl_cafile}
    return options
