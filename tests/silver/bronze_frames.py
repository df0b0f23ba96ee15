"""Puts frames into bronze as landing does, each batch in a version of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake
from lakehouse.table import Table
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
        rows: list[tuple[Any, ...]] = []
        for frame in frames:
            offset = next(self._offsets)
            self.held.append((offset, frame))
            received = None if frame.received_us is None else time_of(frame.received_us)
            place = ("T0", f"{frame.venue}.{frame.channel}", 0, offset)
            headers = (frame.venue, frame.channel, frame.key, frame.session_id, frame.sequence, received, frame.origin)
            rows.append((*place, *headers, frame.payload, LANDED_AT, LANDED_AT))
        schema = contract_schema(FRAMES)
        columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        version = self.lake.append_rows(FRAMES, pa.table(arrays, names=schema.names))
        assert version is not None
        return version

    def carry(self, frames: Sequence[Frame]) -> Refined:
        version = self.land(frames)
        few = self.lake.few_changes(FRAMES, version - 1, version)
        return self.refine.run(self.lake.read_changes(FRAMES, version - 1, version) if few is None else few, version)

    def versions(self) -> list[int]:
        return [self.lake.version(table) for table in WRITTEN]

    def rows(self, held: Table | DataFrame | pa.Table | None, *columns: str) -> list[tuple[Any, ...]]:
        """Some columns of a table, or of rows, in order; times without their zone, which is UTC."""
        assert held is not None
        if isinstance(held, Table):
            held = self.lake.rows_where(held, ())
        elif isinstance(held, DataFrame):
            held = held.toArrow()
        found = zip(*(map(_without_zone, held[name].to_pylist()) for name in columns), strict=True)
        return sorted(found)

    def found(self, table: Table, **values: Any) -> list[dict[str, Any]]:
        """The rows of a table that have these values."""
        wanted = [[(name, "=", value) for name, value in values.items()]] if values else ()
        rows: list[dict[str, Any]] = self.lake.rows_where(table, wanted).to_pylist()
        return rows

    def trades(self, *columns: str) -> list[tuple[Any, ...]]:
        return self.rows(TRADES, *columns)

    def quarantined(self) -> dict[tuple[int, int], set[str]]:
        rows = self.rows(QUARANTINE, "offset", "row", "reasons")
        found = {(offset, row): set(reasons) for offset, row, reasons in rows}
        assert len(found) == len(rows)
        return found


def _without_zone(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
