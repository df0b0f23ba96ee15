"""The step that lands Kafka records in bronze, each offset once, without looking inside."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame

from bronze.checkpoint import Checkpoint, checkpoint_id, remedy_without
from bronze.few_records import few_frames_above, frames_of_few
from bronze.new_frames import Frames, NewFrames, few_frames, few_records, many_frames
from bronze.records import frames_above, frames_of_records
from bronze.tables import FRAMES
from bronze.topics import Topics
from lakehouse.errors import CryptolakeError, OffsetsLostError, TopicRecreatedError
from lakehouse.faults import fault_point
from lakehouse.lake import Lake, Txn
from lakehouse.table import Table

Offsets = Mapping[tuple[str, int], int]
Part = tuple[str, int]  # a topic by its name, and a partition
_HIGHEST_OFFSETS = """
    SELECT held.topic, held.topic_id, held.partition, max(held.offset) AS last
    FROM {rows} AS held GROUP BY held.topic, held.topic_id, held.partition
"""


@dataclass(frozen=True)
class Landed:
    """What one batch brought.

    Args:
        frames: the rows appended to bronze.frames, in memory or cached until `release`.
        version: the version they were appended in.
        rows: how many there are.
        release: lets the rows go.
    """

    frames: Frames
    version: int
    rows: int
    release: Callable[[], None]


class Land:
    """Land batches of Kafka records.

    Args:
        lake: where bronze is, and in its settings the topics whose making anew or whose losses are accepted.
        topics: asks the brokers.
        checkpoint: the stream's checkpoint folder; its uuid guards against a batch landed twice.
        topic_check_interval_s: how often ids are asked for again, to notice a topic made anew.

    Raises:
        TopicRecreatedError: a topic was made anew under a name that bronze holds.
        OffsetsLostError: Kafka has lost what bronze lacks.
        CryptolakeError: the checkpoint is damaged or ahead of bronze.
    """

    name = "land"
    reads: tuple[Table, ...] = ()
    writes = (FRAMES,)

    def __init__(
        self,
        lake: Lake,
        topics: Topics,
        checkpoint: Path,
        topic_check_interval_s: float = 10.0,
    ) -> None:
        self._lake = lake
        self._topics = topics
        self._checkpoint = checkpoint
        self._accept_recreated = lake.settings.kafka.accept_recreated_topics
        self._accept_lost = lake.settings.kafka.accept_lost_offsets
        self._topic_check_interval_s = topic_check_interval_s
        self._known_ids, self._landed = self._what_bronze_holds()
        self._topic_ids: Mapping[str, str] = {}
        self._asked_at = float("-inf")
        self.refresh_topic_ids()
        self._refuse_skipped(self._starts(Checkpoint.read(checkpoint).consumed))

    def run(self, records: DataFrame, batch_id: int) -> Landed | None:
        """Append the records that bronze does not hold yet.

        Returns:
            the landed rows, or None when bronze held all of them.

        Raises:
            TopicRecreatedError: a topic was made anew under a name that bronze holds.
            OffsetsLostError: Kafka has lost what bronze lacks.
            CryptolakeError: the checkpoint belongs to an earlier state of the lake, or to another lake.
        """
        if time.monotonic() - self._asked_at > self._topic_check_interval_s:
            self.refresh_topic_ids()
        found = self._new_frames(records)
        if any(span.topic_id is None for span in found.spans):
            found.release()
            self.refresh_topic_ids()
            found = self._new_frames(records)
        if not found.spans:
            found.release()
            return None
        if any(span.topic_id is None for span in found.spans):
            raise CryptolakeError(
                "A topic was deleted while its records were on the way to bronze", "Start again: the others go on."
            )
        self._refuse_skipped({(span.topic, span.partition): span.first for span in found.spans})
        version = found.append_to(self._lake, Txn(self._app_id(), batch_id))
        if version is None:
            raise CryptolakeError(
                f"The checkpoint {self._checkpoint} is older than bronze: batch {batch_id} brings new rows under a"
                " number that is used up",
                remedy_without(self._checkpoint),
            )
        fault_point("after_bronze_commit")
        self._landed |= {(str(span.topic_id), span.partition): span.last for span in found.spans}
        return Landed(found.rows, version, sum(span.rows for span in found.spans), found.release)

    def refresh_topic_ids(self) -> None:
        """Ask the broker for its topics and refuse one that was made anew.

        Raises:
            TopicRecreatedError: a topic was made anew under a name that bronze holds.
        """
        ids = self._topics.ids()
        for topic, topic_id in ids.items():
            known = self._known_ids.setdefault(topic, {topic_id})
            if topic_id not in known and topic not in self._accept_recreated:
                raise TopicRecreatedError(
                    f"Topic {topic} was deleted and made anew: bronze holds id {', '.join(sorted(known))},"
                    f" the broker has {topic_id}",
                    "What the old topic held beyond bronze is gone. To go on with the new one, name it in"
                    f" kafka.accept_recreated_topics and remove {self._checkpoint}.",
                )
            known.add(topic_id)
        self._topic_ids = ids
        self._asked_at = time.monotonic()

    def _new_frames(self, records: DataFrame) -> NewFrames:
        now = dt.datetime.now(dt.UTC)
        limits = self._lake.settings.lake
        few = None if limits.catalog else few_records(records, limits.are_few)
        if few is not None:
            return few_frames(few_frames_above(frames_of_few(few, self._topic_ids, now), self._landed))
        return many_frames(frames_above(frames_of_records(records, self._topic_ids, now), self._landed))

    def _starts(self, consumed: Mapping[Part, int]) -> Mapping[Part, int]:
        """Where the stream can go on: after what the checkpoint has consumed, and not before what Kafka still holds."""
        topics_held = {topic_id for topic_id, _ in self._landed}
        held = [topic for topic, topic_id in self._topic_ids.items() if topic_id in topics_held]
        starts = dict(self._topics.earliest(held)) if held else {}
        return starts | {part: max(end, starts.get(part, 0)) for part, end in consumed.items()}

    def _refuse_skipped(self, starts: Mapping[Part, int]) -> None:
        """Refuse to go on from offsets while records before them are not in bronze.

        Of a topic that bronze does not know, Kafka may have dropped the first records before anyone listened.
        """
        topics_held = {topic_id for topic_id, _ in self._landed}
        known = {part: start for part, start in starts.items() if part[0] in self._topic_ids}
        wanted = {part: self._landed.get((self._topic_ids[part[0]], part[1]), -1) + 1 for part in known}
        behind = [part for part, start in known.items() if start > wanted[part]]
        if not behind:
            return
        earliest = self._topics.earliest({topic for topic, _ in behind})
        behind = [part for part in behind if part in earliest]
        passed = [(p, max(wanted[p], earliest[p]), known[p] - 1) for p in behind if earliest[p] < known[p]]
        if passed:
            raise CryptolakeError(
                f"The checkpoint {self._checkpoint} is ahead of bronze, which lacks {_offsets(passed)}",
                remedy_without(self._checkpoint),
            )
        accepted = {topic for topic in self._topic_ids if self._topic_ids[topic] not in topics_held}
        accepted |= set(self._accept_lost)
        if lost := [(p, wanted[p], known[p] - 1) for p in behind if p[0] not in accepted]:
            raise OffsetsLostError(
                f"Kafka no longer holds {_offsets(lost)}, which bronze lacks: retention was shorter than the pause",
                f"To go on without, name the topic in kafka.accept_lost_offsets and remove {self._checkpoint}; ids that"
                " are missing then are fetched as gaps.",
            )

    def _what_bronze_holds(self) -> tuple[dict[str, set[str]], dict[tuple[str, int], int]]:
        held = self._lake.select(FRAMES, _HIGHEST_OFFSETS).to_pylist()
        ids: dict[str, set[str]] = {}
        for row in held:
            ids.setdefault(row["topic"], set()).add(row["topic_id"])
        return ids, {(row["topic_id"], row["partition"]): row["last"] for row in held}

    def _app_id(self) -> str:
        return f"{FRAMES.name}/{self.name}/{checkpoint_id(self._checkpoint)}"


def _offsets(spans: Iterable[tuple[Part, int, int]]) -> str:
    return ", ".join(f"offsets {first} to {last} of {topic}/{part}" for (topic, part), first, last in sorted(spans))
