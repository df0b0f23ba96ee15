"""What a batch of few frames becomes, judged in memory before any of it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrow import contract_schema, padded
from lakehouse.lake import Lake
from silver.copies import CONFLICT, CONFLICT_REASON, NEW, SAME
from silver.few_canonical import ReadAtOnce
from silver.few_copies import verdicts
from silver.few_rows import few_of_kind, few_parsed, few_rejected, places
from silver.few_spans import spans_of
from silver.high_water import HighWater
from silver.id_gaps import Hole, holes_of_symbols
from silver.kinds import COUNTED, TRADE, RowKind
from silver.parse import GAP_CHANNEL
from silver.quality import RULE_VERSION
from silver.rows import LostIds
from silver.stored import Lacks, stored_beside, stored_trades, suspects_of
from silver.strict import KIND, lost_ids_in
from silver.symbols import Symbols
from silver.tables import QUARANTINE


class FewBatch:
    """One batch on its way, as `SparkBatch`, without a Spark job: each would cost more than a thousand rows do here.

    Args:
        lake: where silver is.
        high_water: what silver.trades holds.
        lacks: whether silver.trades is known not to hold an id.
        frames: columns of bronze.frames.
        read: what was read many at once of them.
        symbols: what names stand for.
    """

    def __init__(
        self, lake: Lake, high_water: HighWater, lacks: Lacks, frames: pa.Table, read: ReadAtOnce, symbols: Symbols
    ) -> None:
        self._lake = lake
        self._high_water = high_water
        self._lacks = lacks
        self._frames = frames
        self._symbols = symbols
        self._parsed = few_parsed(read.left, symbols)
        self._bad = few_rejected(self._parsed)
        strictly = few_of_kind(self._parsed, TRADE)
        self._trades = pa.concat_tables([read.trades, strictly.cast(read.trades.schema)])
        self.spans = spans_of(self._trades)
        self.newest_us: int = pc.max(frames["received_at"].cast(pa.int64())).as_py() or 0
        self.counts = dict.fromkeys(COUNTED, 0)
        self.counts["frames"] = frames.num_rows
        self.counts["control"] = frames.num_rows - read.trades.num_rows - read.left.num_rows
        self.counts["quarantined"] = len(self._bad)

    def release(self) -> None:
        """Nothing is cached."""

    def holes(self, symbols: Collection[tuple[str, str]]) -> Iterable[Hole]:
        """The ids missing among the trades of some venues and symbols."""
        return holes_of_symbols(self._trades, symbols)

    def new_rows(self, kind: RowKind) -> pa.Table | None:
        """The rows of a kind beside trades to append; None when there are none."""
        rows = few_of_kind(self._parsed, kind)
        return self._judge(kind, rows, stored_beside(self._lake, kind, rows)) if rows.num_rows else None

    def new_trades(self) -> pa.Table | None:
        """The trades to append; None when there are none."""
        if not self.spans:
            return None
        stored = self._stored_copies()
        if stored is None and not any(span.repeats for span in self.spans):
            self.counts["trades"] = self._trades.num_rows
            return self._trades
        return self._judge(TRADE, self._trades, stored)

    def lost_ids(self) -> list[tuple[str, LostIds]]:
        """What venues no longer have, with the venue."""
        if not pc.any(pc.equal(self._parsed[KIND], LostIds.kind)).as_py():
            return []
        return lost_ids_in(self._frames.filter(pc.equal(self._frames["channel"], GAP_CHANNEL)), self._symbols)

    def quarantine(self) -> pa.Table | None:
        """The rows to quarantine, with their frames' bytes; None when there are none. Called after the judgments."""
        if not self._bad:
            return None
        offsets = pa.array({named[-1] for named, _, _ in self._bad}, pa.int64())
        some = self._frames.filter(pc.is_in(self._frames["offset"], offsets))
        place = {named: number for number, named in enumerate(places(some))}
        own = some.take(pa.array([place[named] for named, _, _ in self._bad], pa.int64()))
        judged = {
            "row": pa.array([row for _, row, _ in self._bad]),
            "reasons": pa.array([reasons for _, _, reasons in self._bad]),
            "rule_version": pa.repeat(RULE_VERSION, len(self._bad)),
            "first_seen": pa.repeat(pa.scalar(datetime.now(UTC)), len(self._bad)),
        }
        columns = {name: own[name] for name in own.schema.names} | judged
        schema = contract_schema(QUARANTINE)
        return pa.table(padded(columns, len(self._bad), schema), schema=schema)

    def _stored_copies(self) -> pa.Table | None:
        tops = self._high_water.tops(self.spans)
        if not tops:
            return None
        suspects = suspects_of(self._trades, tops, self._lacks, self._lake.settings.lake.strict_frames)
        if suspects is None:  # all is done again
            return self._high_water.copies_of(self._lake, self.spans, self._trades)
        return stored_trades(self._lake, suspects) if suspects.num_rows else None

    def _judge(self, kind: RowKind, rows: pa.Table, stored: pa.Table | None) -> pa.Table | None:
        judged = verdicts(rows, stored, kind.key, kind.values)
        new = rows.filter(pc.equal(judged, NEW))
        self.counts[kind.plural] = new.num_rows
        self.counts["copies"] += pc.sum(pc.equal(judged, SAME)).as_py() or 0
        contradicting = rows.filter(pc.equal(judged, CONFLICT))
        self.counts["quarantined"] += contradicting.num_rows
        for named, row in zip(places(contradicting), contradicting["row"].to_pylist(), strict=True):
            self._bad.append((named, row, (CONFLICT_REASON,)))
        return new if new.num_rows else None
