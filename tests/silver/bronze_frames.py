"""Puts frames into bronze as landing does, each batch in a version of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from bronze.tables import FRAMES
from lakehouse.arrow import frame_of
from lakehouse.lake import Lake
from silver.refine import Refine, Refined
from silver.rows import Frame
from silver.tables import QUARANTINE, TRADES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WRITTEN = Refine.writes
NOTHING = ("frames", "control", "trades", "candles", "gaps", "tickers", "prices", "symbols", "copies", "quarantined")
LANDED_AT = datetime(2024, 8, 9, tzinfo=UTC)


def time_of(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def create_tables(lake: Lake) -> None:
    lake.create(FRAMES, *WRITTEN)


def counts(**some: int) -> dict[str, int]:
    """What refine counts, 0 where nothing is said."""
    return dict.fromkeys(NOTHING, 0) | some


class Bronze:
    """Bronze, and what refine makes of it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.refine = Refine(lake)
        self._offsets = count()
        self.held: list[tuple[int, Frame]] = []

    def land(self, frames: Sequence[Frame]) -> int:
        rows = []
        for frame in frames:
            offset = next(self._offsets)
            self.held.append((offset, frame))
            received = None if frame.received_us is None else time_of(frame.received_us)
            place = ("T0", f"{frame.venue}.{frame.channel}", 0, offset)
            headers = (frame.venue, frame.channel, frame.key, frame.session_id, frame.sequence, received, frame.origin)
            rows.append((*place, *headers, frame.payload, LANDED_AT, LANDED_AT))
        version = self.lake.append(FRAMES, self.lake.spark.createDataFrame(rows, FRAMES.schema).coalesce(1))
        assert version is not None
        return version

    def carry(self, frames: Sequence[Frame]) -> Refined:
        version = self.land(frames)
        return self.refine.run(self.lake.read_changes(FRAMES, version - 1, version), version)

    def versions(self) -> list[int]:
        return [self.lake.version(table) for table in WRITTEN]

    def rows(self, frame: DataFrame | pa.Table | None, *columns: str) -> list[tuple[Any, ...]]:
        assert frame is not None
        rows = frame_of(self.lake.spark, frame) if isinstance(frame, pa.Table) else frame
        return sorted(tuple(row) for row in rows.select(*columns).collect())

    def trades(self, *columns: str) -> list[tuple[Any, ...]]:
        return self.rows(self.lake.read(TRADES), *columns)

    def quarantined(self) -> dict[tuple[int, int], set[str]]:
        rows = self.lake.read(QUARANTINE).select("offset", "row", "reasons").collect()
        found = {(row["offset"], row["row"]): set(row["reasons"]) for row in rows}
        assert len(found) == len(rows)
        return found
