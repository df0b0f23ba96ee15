"""What a batch of few frames becomes, judged in memory before any of it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from lakehouse.arrow import contract_schema, frame_of
from lakehouse.lake import Lake
from silver.copies import CONFLICT, CONFLICT_REASON, NEW, SAME
from silver.few_copies import verdicts
from silver.few_rows import Bad, few_rows
from silver.few_trades import holes_of_few, spans_of
from silver.high_water import HighWater, Span
from silver.id_gaps import Hole
from silver.kinds import ROW_KINDS, TRADE, RowKind
from silver.parse import CONTROL
from silver.quality import RULE_VERSION
from silver.rows import LostIds
from silver.stored import stored_beside
from silver.strict import FRAME_ID
from silver.symbols import Symbols
from silver.tables import QUARANTINE, TRADES


class FewBatch:
    """One batch on its way, as `SparkBatch`, without a Spark job: each would cost more than a thousand rows do here.

    Args:
        lake: where silver is.
        high_water: what silver.trades holds.
        frames: columns of bronze.frames.
        symbols: what names stand for.
    """

    def __init__(self, lake: Lake, high_water: HighWater, frames: pa.Table, symbols: Symbols) -> None:
        self._lake = lake
        self._high_water = high_water
        self._frames = frames
        is_control = pc.fill_null(pc.equal(frames["channel"], CONTROL), False)
        self._found = few_rows(frames.filter(pc.invert(is_control)), symbols)
        self._bad: list[Bad] = list(self._found.rejected)
        self._trades: pa.Table | None = self._found.kinds.get(TRADE.name)
        self.spans: list[Span] = spans_of(self._trades) if self._trades is not None else []
        self.newest_us: int = pc.max(frames["received_at"].cast(pa.int64())).as_py() or 0
        self.counts = dict.fromkeys(("frames", "control", *(kind.plural for kind in ROW_KINDS), "copies"), 0)
        self.counts["frames"] = frames.num_rows
        self.counts["control"] = pc.sum(is_control).as_py() or 0
        self.counts["quarantined"] = len(self._bad)

    def release(self) -> None:
        """Nothing is cached."""

    def as_frame(self, rows: pa.Table) -> DataFrame:
        """Rows of this batch as the steps below take them."""
        return frame_of(self._lake.spark, rows)

    def no_trades(self) -> DataFrame:
        """No rows, with the columns of silver.trades."""
        return self._lake.no_rows(TRADES)

    def holes(self, symbols: Collection[tuple[str, str]]) -> Iterable[Hole]:
        """The ids missing among the trades of some venues and symbols."""
        return () if self._trades is None else holes_of_few(self._trades, symbols)

    def new_rows(self, kind: RowKind) -> pa.Table | None:
        """The rows of a kind beside trades to append; None when there are none."""
        rows = self._found.kinds.get(kind.name)
        return None if rows is None else self._judge(kind, rows, stored_beside(self._lake, kind, rows))

    def new_trades(self) -> pa.Table | None:
        """The trades to append; None when there are none."""
        if self._trades is None:
            return None
        stored = self._high_water.stored_rows(self._lake, self.spans)
        if stored is None and not any(span.repeats for span in self.spans):
            self.counts["trades"] = self._trades.num_rows
            return self._trades
        return self._judge(TRADE, self._trades, stored)

    def lost_ids(self) -> list[tuple[str, LostIds]]:
        """What venues no longer have, with the venue."""
        return self._found.lost

    def quarantine(self) -> pa.Table | None:
        """The rows to quarantine, with their frames' bytes; None when there are none. Called after the judgments."""
        if not self._bad:
            return None
        place = {named: number for number, named in enumerate(_named(self._frames))}
        own = self._frames.take(pa.array([place[named] for named, _, _ in self._bad], pa.int64()))
        judged = {
            "row": [row for _, row, _ in self._bad],
            "reasons": [list(reasons) for _, _, reasons in self._bad],
            "rule_version": [RULE_VERSION] * len(self._bad),
            "first_seen": [datetime.now(UTC)] * len(self._bad),
        }
        columns = [
            pa.array(judged[field.name], field.type)
            if field.name in judged
            else own[field.name].cast(field.type)
            if field.name in own.schema.names
            else pa.nulls(len(self._bad), field.type)
            for field in contract_schema(QUARANTINE)
        ]
        return pa.table(columns, schema=contract_schema(QUARANTINE))

    def _judge(self, kind: RowKind, rows: pa.Table, stored: pa.Table | None) -> pa.Table | None:
        judged = verdicts(rows, stored, kind.key, kind.values)
        new = rows.filter(pc.equal(judged, NEW))
        self.counts[kind.plural] = new.num_rows
        self.counts["copies"] += pc.sum(pc.equal(judged, SAME)).as_py() or 0
        contradicting = rows.filter(pc.equal(judged, CONFLICT))
        self.counts["quarantined"] += contradicting.num_rows
        for named, row in zip(_named(contradicting), contradicting["row"].to_pylist(), strict=True):
            self._bad.append((named, row, (CONFLICT_REASON,)))
        return new if new.num_rows else None


def _named(rows: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in FRAME_ID), strict=True)
