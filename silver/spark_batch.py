"""What a batch of many frames becomes, judged by Spark before any of it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from lakehouse.arrow import frame_of
from lakehouse.lake import COMMIT_VERSION, Lake
from silver.copies import CONFLICT, NEW, SAME, VERDICT, conflicts, judge_copies
from silver.high_water import HighWater, Span
from silver.id_gaps import Hole, holes_of_symbols
from silver.kinds import COUNTED, ROW_KINDS, TRADE, RowKind
from silver.parse import GAP_CHANNEL
from silver.quality import RULE_VERSION
from silver.rows import LostIds, Rejected
from silver.stored import Lacks, stored_between, stored_trades, suspects_of
from silver.strict import FRAME_ID, KIND, PARSER_TAKES, lost_ids_in, parse_strictly, rejected_rows, rows_of_kind
from silver.survey import survey
from silver.symbols import Symbols
from silver.tables import QUARANTINE, TRADES
from silver.trades import CONTROL_ROUTE, ROUTE, STRICT_ROUTE, TRADE_ROUTE, canonical_trades, route_frames


class SparkBatch:
    """One batch on its way: what its rows are, judged against what the tables hold before any write.

    Args:
        lake: where silver is.
        high_water: what silver.trades holds.
        lacks: whether silver.trades is known not to hold an id.
        frames: columns of bronze.frames.
        symbols: what names stand for.
    """

    def __init__(self, lake: Lake, high_water: HighWater, lacks: Lacks, frames: DataFrame, symbols: Symbols) -> None:
        self._lake = lake
        self._high_water = high_water
        self._lacks = lacks
        self._conflicts: list[DataFrame] = []
        self._cached: list[DataFrame] = []
        self.counts = dict.fromkeys(COUNTED, 0)
        self._symbols = symbols
        self._frames = frames.drop(COMMIT_VERSION)
        self._routed = self._keep(route_frames(self._frames, symbols))
        found = survey(self._routed)
        self.spans: list[Span] = found.spans
        self.newest_us = found.newest_us
        self.counts["frames"] = sum(found.routes.values())
        self.counts["control"] = found.routes.get(CONTROL_ROUTE, 0)
        self._trades = canonical_trades(self._routed)
        self._strict: DataFrame | None = None
        self._kinds: dict[str, _Found] = {}
        if found.routes.get(STRICT_ROUTE):
            self._strict = self._keep(parse_strictly(self._routed.where(f.col(ROUTE) == STRICT_ROUTE), symbols))
            self._kinds = _kinds_found(self._strict)

    def release(self) -> None:
        """Let all cached rows go."""
        for frame in self._cached:
            frame.unpersist()
        self._cached.clear()

    def holes(self, symbols: Collection[tuple[str, str]]) -> Iterable[Hole]:
        """The ids missing among the trades of some venues and symbols."""
        return holes_of_symbols(self._trades, symbols)

    def new_rows(self, kind: RowKind) -> DataFrame | None:
        """The rows of a kind beside trades to append; None when there are none."""
        found = self._kinds.get(kind.name)
        if self._strict is None or found is None:
            return None
        stored = stored_between(self._lake, kind, found.earliest_us, found.latest_us)
        return self._judge(kind, rows_of_kind(self._strict, kind), stored)

    def new_trades(self) -> DataFrame | None:
        """The trades to append; None when there are none."""
        if self._strict is not None and TRADE.name in self._kinds:
            self._trades = self._trades.union(rows_of_kind(self._strict, TRADE))
            self.spans = survey(self._trades.withColumn(ROUTE, f.lit(TRADE_ROUTE))).spans
        if not self.spans:
            return None
        stored = self._stored_copies()
        if stored is None and not any(span.repeats for span in self.spans):
            self.counts["trades"] = sum(span.rows for span in self.spans)
            return self._trades
        return self._judge_repeated(stored)

    def lost_ids(self) -> list[tuple[str, LostIds]]:
        """What venues no longer have, with the venue."""
        if LostIds.kind not in self._kinds:
            return []
        markers = self._routed.where((f.col(ROUTE) == STRICT_ROUTE) & (f.col("channel") == GAP_CHANNEL))
        return lost_ids_in(markers.select(*PARSER_TAKES).toArrow(), self._symbols)

    def quarantine(self) -> DataFrame | None:
        """The rows to quarantine, with their frames' bytes; None when there are none. Called after the judgments."""
        found = list(self._conflicts)
        if self._strict is not None and Rejected.kind in self._kinds:
            found.append(rejected_rows(self._strict))
            self.counts["quarantined"] += self._kinds[Rejected.kind].rows
        if not found:
            return None
        bad, frame = reduce(DataFrame.union, found), self._frames.alias("frame")
        if self.counts["quarantined"] <= self._lake.settings.lake.arrow_rows:
            bad = f.broadcast(bad)  # or all frames of the batch are shuffled and sorted for the few that are bad
        bad = bad.alias("bad")
        same_frame = reduce(
            lambda a, b: a & b, [f.col(f"bad.{name}").eqNullSafe(f.col(f"frame.{name}")) for name in FRAME_ID]
        )
        columns = ["bad." + name if name in (*FRAME_ID, "row", "reasons") else name for name in QUARANTINE.columns]
        judged = {
            "rule_version": f.lit(RULE_VERSION),
            "first_seen": f.current_timestamp(),
            "replayed_at": f.lit(None).cast("timestamp"),
            "replay_rule_version": f.lit(None).cast("string"),
            "outcome": f.lit(None).cast("string"),
        }
        return bad.join(frame, same_frame).withColumns(judged).select(*columns)

    def _stored_copies(self) -> DataFrame | None:
        """Read the stored trades that this batch holds copies of, and maybe more; None when there can be none."""
        tops = self._high_water.tops(self.spans)
        if not tops:
            return None
        suspects = suspects_of(self._trades, tops, self._lacks, self._lake.settings.lake.arrow_rows)
        if suspects is None:  # all is done again
            return self._high_water.stored_copies(self._lake, self.spans)
        return (
            f.broadcast(frame_of(self._lake.spark, stored_trades(self._lake, suspects))) if suspects.num_rows else None
        )

    def _judge_repeated(self, stored: DataFrame | None) -> DataFrame | None:
        """Judge the trades whose key is there more than once; the others, as a rule nearly all, are new."""
        key = list(TRADE.key)
        repeated = self._trades.groupBy(*key).count().where("count > 1").select(*key)
        keys = repeated if stored is None else repeated.union(stored.select(*key)).distinct()
        few = keys.limit(self._lake.settings.lake.arrow_rows + 1).toArrow()
        if few.num_rows > self._lake.settings.lake.arrow_rows:
            return self._judge(TRADE, self._trades, stored)
        doubtful = f.broadcast(frame_of(self._lake.spark, few))
        dropped = self.counts["copies"] + self.counts["quarantined"]
        new = self._judge(TRADE, self._trades.join(doubtful, key, "left_semi"), stored)
        dropped -= self.counts["copies"] + self.counts["quarantined"]
        self.counts["trades"] = dropped + sum(span.rows for span in self.spans)
        others = self._trades.join(doubtful, key, "left_anti").select(*TRADES.columns)
        return (others if new is None else others.union(new)) if self.counts["trades"] else None

    def _judge(self, kind: RowKind, rows: DataFrame, stored: DataFrame | None) -> DataFrame | None:
        # Not cached but checkpointed: Spark recomputes what is cached from a table that is appended to, and then the
        # rows just written would be copies of themselves.
        judged = judge_copies(rows, stored, kind.key, kind.values).localCheckpoint(eager=False)
        counts = {row[VERDICT]: row["count"] for row in judged.groupBy(VERDICT).count().collect()}
        self.counts[kind.plural] = counts.get(NEW, 0)
        self.counts["copies"] += counts.get(SAME, 0)
        if counts.get(CONFLICT):
            self.counts["quarantined"] += counts[CONFLICT]
            self._conflicts.append(conflicts(judged))
        return judged.where(f.col(VERDICT) == NEW).select(*kind.table.columns) if counts.get(NEW) else None

    def _keep(self, frame: DataFrame) -> DataFrame:
        self._cached.append(frame.persist())
        return frame


class _Found(NamedTuple):
    rows: int
    earliest_us: int
    latest_us: int


def _kinds_found(parsed: DataFrame) -> dict[str, _Found]:
    """Count the rows of each kind, and say between which times they lie, in one job."""
    time_us = f.coalesce(*(f.unix_micros(f"{kind.name}.{kind.time}") for kind in ROW_KINDS))
    found = parsed.groupBy(KIND).agg(f.count("*"), f.min(time_us), f.max(time_us)).collect()
    return {kind: _Found(*figures) for kind, *figures in found}
