"""A topic that gets more partitions, that retention has overtaken, that is deleted and made anew: never silently."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from experiments import Experiment
from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition
from pyspark.sql import SparkSession
from stream_lake import Market, StreamLake

from bronze.tables import FRAMES
from bronze.topics import earliest_offsets, topic_ids
from cryptolake.broker.local import LocalBroker
from cryptolake.waiting import wait_until
from lakehouse.errors import OffsetsLostError, TopicRecreatedError
from lakehouse.settings import Settings
from silver.tables import GAPS

TOPIC = "binance.trade"


@pytest.fixture
def servers(settings: Settings) -> Iterator[str]:
    local = LocalBroker(settings)
    yield local.start()
    local.stop()


@pytest.fixture
def admin(servers: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=servers)
    yield client
    client.close()


def accepting(world: StreamLake, spark: SparkSession, **accepted: tuple[str, ...]) -> StreamLake:
    """The same lake, whose owner has named what may be lost."""
    kafka = world.settings.kafka.model_copy(update=accepted)
    return StreamLake(spark, world.settings.model_copy(update={"kafka": kafka}), world.bootstrap_servers)


def ends(world: StreamLake) -> dict[TopicPartition, int]:
    """The offset after the last one that bronze holds, of each partition."""
    found: dict[TopicPartition, int] = {}
    for row in world.rows(FRAMES):
        part = TopicPartition(row["topic"], row["partition"])
        found[part] = max(found.get(part, 0), row["offset"] + 1)
    return found


@pytest.mark.experiment(
    20,
    fault="three partitions become six; retention overtakes a lake that is down; the topic is deleted and made anew",
    holds="I1 I2 I7 for what Kafka held; each loss stops by its name and offsets, and ids that lack are open gaps",
)
@pytest.mark.timeout(900)
def test_what_a_topic_loses_is_named_before_the_lake_goes_on(
    spark: SparkSession, settings: Settings, servers: str, admin: KafkaAdminClient, experiment: Experiment
) -> None:
    world, market = StreamLake(spark, settings, servers), Market()
    world.publish(market.more(60))
    world.run()

    # More partitions: keys move to other ones, in mid-stream.
    admin.create_partitions({TOPIC: 6})
    for _ in range(experiment.times(1, 2)):
        world.publish(market.more(60))
        world.run()
    assert world.ids() == market.ids()
    experiment.done()

    # The lake was away for longer than records are kept.
    held = ends(world)
    before = list(market.said)
    world.publish(market.more(60))
    lost = market.said[len(before) :]
    kept_from = after_published(world, held)
    admin.delete_records(kept_from)
    world.publish(market.more(60))
    with pytest.raises(OffsetsLostError, match="retention was shorter than the pause") as stopped:
        world.run()
    named = {(part, int(low), int(high)) for low, high, part in OFFSETS.findall(str(stopped.value))}
    assert named == {(f"{p.topic}/{p.partition}", held.get(p, 0), end - 1) for p, end in kept_from.items()}
    assert world.ids() == sorted((trade.symbol, trade.trade_id) for trade in before)
    world = accepting(world, spark, accept_lost_offsets=(TOPIC,))
    with pytest.raises(OffsetsLostError, match="at which the checkpoint goes on"):
        world.run()
    shutil.rmtree(world.checkpoint)
    world.run()
    gone = {(trade.symbol, trade.trade_id) for trade in lost}
    assert world.ids() == [key for key in market.ids() if key not in gone]
    gaps = [row for row in world.rows(GAPS) if row["status"] == "open"]
    assert {(row["symbol"], n) for row in gaps for n in range(row["from_id"], row["to_id"] + 1)} == gone
    world.assert_audited()
    experiment.done()

    # Deleted and made anew, with records beyond those that the old one had.
    old_id = topic_ids(settings, servers)[TOPIC]
    admin.delete_topics([TOPIC])
    assert wait_until(lambda: TOPIC not in topic_ids(settings, servers), 30)
    world.publish(market.more(300))
    assert topic_ids(settings, servers)[TOPIC] != old_id
    before_ids = world.ids()
    with pytest.raises(TopicRecreatedError, match="deleted and made anew"):
        world.run()
    assert world.ids() == before_ids
    world = accepting(world, spark, accept_lost_offsets=(TOPIC,), accept_recreated_topics=(TOPIC,))
    shutil.rmtree(world.checkpoint)
    world.run()
    assert world.ids() == [key for key in market.ids() if key not in gone]
    world.assert_audited()
    experiment.done()


OFFSETS = re.compile(r"offsets ([0-9]+) to ([0-9]+) of (\S+/[0-9]+)")


def after_published(world: StreamLake, held: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Where the next records of the partitions will be that got some since bronze's last."""
    parts = [TopicPartition(TOPIC, number) for number in range(6)]
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap_servers)
    found = consumer.end_offsets(parts)
    consumer.close()
    begin = earliest_offsets(world.settings, world.bootstrap_servers, [TOPIC])
    return {p: end for p, end in found.items() if end > held.get(p, begin[p.topic, p.partition])}
