"""The account of every batch that was landed in bronze: what came in is what came out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cryptolake.audit.places import Places, frame_of, offset_of, stream_of
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.spans import time_of
from cryptolake.audit.spill import Ints

ROWS = "rows"
SILVER, QUARANTINE, COPIES, CONTROL, IN_FLIGHT, MISSING, SURPLUS = (
    *("silver", "quarantine", "copies", "control", "in_flight", "missing", "surplus"),
)
FIGURES = (ROWS, SILVER, QUARANTINE, COPIES, CONTROL, IN_FLIGHT, MISSING, SURPLUS)
BatchIds = Callable[[Collection[dt.datetime]], Mapping[dt.datetime, int]]
_NEXT_OFFSET = frame_of(-1) & -frame_of(-1)  # how far apart the places of two frames are that follow each other


@dataclass(frozen=True)
class BatchAccount:
    """A batch: all frames landed at one time.

    Args:
        ingested_at: when it was landed.
        offsets: topic id, partition, first and last offset; more than one where others lie between.
        figures: rows in, and what became of them; `surplus` are rows of silver and of the quarantine that came of none.
        batch_id: the stream's number of it, where the log of bronze still tells.
    """

    ingested_at: dt.datetime
    offsets: tuple[tuple[str, int, int, int], ...]
    figures: dict[str, int]
    batch_id: int | None = None

    def __str__(self) -> str:
        """Say it to a reader."""
        where = "; ".join(f"topic id {t}, partition {p}, offsets {a} to {b}" for t, p, a, b in self.offsets)
        number = "" if self.batch_id is None else f" (batch id {self.batch_id})"
        figures = ", ".join(f"{rows:,} {name.replace('_', ' ')}" for name, rows in self.figures.items() if rows)
        return f"batch of {self.ingested_at.isoformat()}{number}, {where}: {figures}"


class Batches:
    """Counts the rows of each batch.

    Args:
        places: numbers of places.
        examples: failures shown of the check.
        most: how many batches that do not add up are told beside it.
    """

    def __init__(self, places: Places, examples: int, most: int) -> None:
        self._places = places
        self._examples = examples
        self._most = most
        self._numbers: dict[int, int] = {}
        self._figures = {name: np.zeros(0, dtype=np.int64) for name in FIGURES}
        # Places of the first and the last frame of each run of one batch's offsets, and the batch's number.
        self._runs: list[Ints] = [np.zeros((0, 3), dtype=np.int64)]

    def add_frames(self, frames: Ints, ingested_us: Ints) -> Ints:
        """Take in frames of bronze; give the number of each one's batch.

        Args:
            frames: their places.
            ingested_us: when each was landed.
        """
        times, inverse = np.unique(ingested_us, return_inverse=True)
        known = [self._numbers.setdefault(us, len(self._numbers)) for us in times.tolist()]
        numbers: Ints = np.asarray(known, dtype=np.int64)[inverse]
        if len(frames):
            order = np.argsort(frames, kind="stable")
            ordered, batch = frames[order], numbers[order]
            breaks = np.flatnonzero((np.diff(ordered) != _NEXT_OFFSET) | (np.diff(batch) != 0))
            starts, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(frames) - 1]])
            self._runs.append(np.stack([ordered[starts], ordered[ends], batch[starts]], axis=1))
        return numbers

    def count(self, figure: str, numbers: Ints) -> None:
        """Add one to a figure for each number of a batch."""
        held = self._figures[figure]
        if len(held) < len(self._numbers):
            held = np.concatenate([held, np.zeros(len(self._numbers) - len(held), dtype=np.int64)])
        self._figures[figure] = held + np.bincount(numbers, minlength=len(held))

    def count_at(self, figure: str, places: Ints) -> None:
        """Add one to a figure for each place; places of frames that were not read count nowhere. Call it after them."""
        runs, frames = self._sorted_runs(), frame_of(places)
        at = np.searchsorted(runs[:, 0], frames, side="right") - 1
        inside = at >= 0
        inside[inside] = frames[inside] <= runs[at[inside], 1]
        self.count(figure, runs[at[inside], 2])

    def newest_us(self) -> int | None:
        """When the newest of the frames was landed; None when there is none."""
        return max(self._numbers, default=None)

    def check(self, ids_of: BatchIds) -> tuple[CheckResult, tuple[BatchAccount, ...]]:
        """Close the account.

        Args:
            ids_of: tells the stream's numbers of batches by when they were landed, as far as they are known.

        Returns:
            the check, and batches that do not add up, the oldest first.
        """
        tally = Tally(
            "bronze.frames batches",
            "of every batch, rows in = silver + quarantine + copies + control + in flight; none is missing or too many",
            self._examples,
        )
        tally.count(len(self._numbers))
        self.count(ROWS, np.zeros(0, dtype=np.int64))
        figures = {name: self._grown(name) for name in FIGURES}
        out = sum(figures[name] for name in (SILVER, QUARANTINE, COPIES, CONTROL, IN_FLIGHT))
        odd = np.flatnonzero((figures[ROWS] != out) | (figures[MISSING] > 0) | (figures[SURPLUS] > 0)).tolist()
        times = list(self._numbers)
        oldest = sorted(odd, key=times.__getitem__)[: self._most]
        broken = tuple(self._account(number, times[number]) for number in oldest)
        ids = ids_of([batch.ingested_at for batch in broken]) if broken else {}
        broken = tuple(replace(batch, batch_id=ids.get(batch.ingested_at)) for batch in broken)
        tally.fail(len(odd), map(str, broken))
        tally.note("rows in", int(figures[ROWS].sum()))
        return tally.result(), broken

    def _account(self, number: int, ingested_us: int) -> BatchAccount:
        runs = self._sorted_runs()
        offsets: list[tuple[str, int, int, int]] = []
        for first, last, _ in runs[runs[:, 2] == number].tolist():
            topic_id, partition = self._places.stream(stream_of(first))
            start, end = offset_of(first), offset_of(last)
            if offsets and offsets[-1][:2] == (topic_id, partition) and offsets[-1][3] + 1 == start:
                offsets[-1] = (topic_id, partition, offsets[-1][2], end)
            else:
                offsets.append((topic_id, partition, start, end))
        figures = {name: int(self._grown(name)[number]) for name in FIGURES}
        return BatchAccount(time_of(ingested_us), tuple(offsets), figures)

    def _grown(self, figure: str) -> Ints:
        self.count(figure, np.zeros(0, dtype=np.int64))
        return self._figures[figure]

    def _sorted_runs(self) -> Ints:
        if len(self._runs) > 1:
            joined = np.concatenate(self._runs)
            self._runs = [joined[np.argsort(joined[:, 0], kind="stable")]]
        return self._runs[0]
