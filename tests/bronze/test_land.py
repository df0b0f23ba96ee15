"""Landing goes on from what bronze holds: a lost checkpoint, a batch brought again, a topic made anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from pyspark.sql import DataFrame, SparkSession

from bronze.land import Land
from bronze.tables import FRAMES
from bronze.topics import earliest_offsets, ensure_topics, topic_ids
from lakehouse.errors import CryptolakeError, TopicRecreatedError
from lakehouse.lake import Lake

HEADERS = {
    "venue": "binance",
    "channel": "trade",
    "session_id": "S1",
    "sequence": "7",
    "received_at_us": "1723161255000000",
    "origin": "stream",
}


class Topic:
    """A topic of one partition's frames on the shared broker, and what Spark reads of it."""

    def __init__(self, spark: SparkSession, lake: Lake, broker: str, name: str) -> None:
        self._spark, self._lake, self._broker, self._name = spark, lake, broker, name
        self.make()

    def make(self) -> None:
        ensure_topics(self._lake.settings, self._broker, [self._name])

    def delete(self) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self._broker)
        admin.delete_topics([self._name])
        admin.close()

    def send(self, *frames: bytes) -> DataFrame:
        """Send frames, and read all that the topic holds since it was made."""
        producer = KafkaProducer(bootstrap_servers=self._broker)
        headers = [(name, value.encode()) for name, value in HEADERS.items()]
        for frame in frames:
            producer.send(self._name, frame, b"k", headers, partition=0).get(timeout=10)
        producer.close()
        source = self._spark.read.format("kafka").option("kafka.bootstrap.servers", self._broker)
        return source.option("subscribe", self._name).option("includeHeaders", "true").load()

    def ids(self) -> dict[str, str]:
        return {self._name: topic_ids(self._lake.settings, self._broker)[self._name]}

    def earliest(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        return earliest_offsets(self._lake.settings, self._broker, topics)


@pytest.fixture
def topic(spark: SparkSession, lake: Lake, broker: str, unique: str) -> Iterator[Topic]:
    lake.create(FRAMES)
    made = Topic(spark, lake, broker, f"{unique}.trade")
    yield made
    made.delete()


@pytest.fixture
def landing(lake: Lake, topic: Topic, tmp_path: Path) -> Callable[[str], Land]:
    """Lands under a checkpoint of this name, as a new process would."""

    def start(checkpoint: str) -> Land:
        folder = tmp_path / checkpoint
        if not folder.exists():
            folder.mkdir()
            (folder / "metadata").write_text(json.dumps({"id": str(uuid4())}))
        return Land(lake, topic, folder, topic_check_interval_s=0)

    return start


def held(lake: Lake) -> list[tuple[int, bytes]]:
    return sorted((row["offset"], bytes(row["payload"])) for row in lake.read(FRAMES).collect())


def test_a_lost_checkpoint_and_a_batch_brought_again_double_and_lose_nothing(
    lake: Lake, topic: Topic, landing: Callable[[str], Land]
) -> None:
    records = topic.send(b"a", b"b", b"a")
    first = landing("first")
    landed = first.run(records, 0)
    assert landed is not None
    assert landed.rows == 3
    # What the stream brings again after a crash between bronze's commit and the checkpoint's.
    assert first.run(records, 0) is None
    assert landing("first").run(records, 0) is None
    # Without a checkpoint the stream begins with the earliest offset, and counts its batches from 0.
    records = topic.send(b"c", b"d")
    again = landing("second").run(records, 0)
    assert again is not None
    assert again.rows == 2
    assert held(lake) == [(0, b"a"), (1, b"b"), (2, b"a"), (3, b"c"), (4, b"d")]
    row = lake.read(FRAMES).first()
    assert row is not None
    assert (row["venue"], row["channel"], row["session_id"], row["sequence"]) == ("binance", "trade", "S1", 7)


def test_a_checkpoint_that_is_older_than_bronze_is_named_and_nothing_is_lost(
    lake: Lake, topic: Topic, landing: Callable[[str], Land]
) -> None:
    land = landing("one")
    for number, frame in enumerate((b"a", b"b")):
        land.run(topic.send(frame), number)
    records = topic.send(b"c")
    with pytest.raises(CryptolakeError, match="older than bronze: batch 1 brings new rows"):
        landing("one").run(records, 1)
    assert landing("other").run(records, 0) is not None
    assert [frame for _, frame in held(lake)] == [b"a", b"b", b"c"]


def test_a_topic_that_was_made_anew_stops_with_its_name(
    lake: Lake, topic: Topic, landing: Callable[[str], Land]
) -> None:
    landing("one").run(topic.send(b"a", b"b"), 0)
    topic.delete()
    topic.make()
    topic.send(b"c")
    with pytest.raises(TopicRecreatedError, match=r"\.trade was deleted and made anew"):
        landing("two")
    assert [frame for _, frame in held(lake)] == [b"a", b"b"]
