"""The step that turns bronze frames into the exact rows of silver, and quarantines what cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from bronze.tables import FRAMES
from lakehouse.faults import fault_point
from lakehouse.lake import COMMIT_VERSION, Lake, Txn
from lakehouse.table import Table
from silver.copies import CONFLICT, NEW, SAME, VERDICT, conflicts, judge_copies
from silver.high_water import HighWater, Span
from silver.id_gaps import IdGaps
from silver.kinds import BESIDE_TRADES, CANDLE, ROW_KINDS, SYMBOL, TRADE, RowKind
from silver.parse import GAP_CHANNEL, parse_frame
from silver.quality import RULE_VERSION
from silver.rows import LostIds, Rejected
from silver.stored import stored_between
from silver.strict import FRAME_ID, KIND, PARSER_TAKES, frame_of, parse_strictly, rejected_rows, rows_of_kind
from silver.survey import survey
from silver.symbol_table import listed_symbols
from silver.symbols import Symbols
from silver.tables import QUARANTINE, SYMBOLS, TRADES
from silver.trades import CONTROL_ROUTE, ROUTE, STRICT_ROUTE, TRADE_ROUTE, canonical_trades, route_frames


@dataclass
class Refined:
    """What one batch of frames has become; its frames are cached until `release`.

    Args:
        trades: the rows appended to silver.trades, with its columns.
        trades_version: the version they were appended in; None when nothing was.
        candles: the rows appended to silver.candles; None when there were none.
        candles_version: the version they were appended in; None when nothing was.
        counts: rows by what became of them: frames, control, copies, quarantined, and one count for each table.
    """

    trades: DataFrame
    trades_version: int | None
    candles: DataFrame | None
    candles_version: int | None
    counts: Mapping[str, int]
    _cached: list[DataFrame] = field(default_factory=list)

    def release(self) -> None:
        """Let the cached rows go."""
        for frame in self._cached:
            frame.unpersist()
        self._cached.clear()


class Refine:
    """Refine frames of bronze into silver; the mark that counts is that of silver.trades, the last write.

    Args:
        lake: where bronze and silver are; its session is looked at in every batch anew.
    """

    name = "refine"
    reads: tuple[Table, ...] = (FRAMES,)
    writes: tuple[Table, ...] = (*(kind.table for kind in BESIDE_TRADES), QUARANTINE, TRADES)

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._high_water = HighWater()
        self._id_gaps = IdGaps(lake.settings.lake.gap_open_s)
        self._symbols: Symbols | None = None

    def run(self, frames: DataFrame, version: int) -> Refined:
        """Refine one batch.

        Args:
            frames: rows of bronze.frames, all that were landed since the last batch and up to `version`.
            version: the newest version of bronze.frames among them; every write is done once for it.
        """
        self._refresh()
        batch = _Batch(self._lake, self._high_water, frames, self._names(frames, version))
        try:
            return self._write(batch, version)
        except BaseException:
            # What is known of ids is ahead of the table now.
            self.forget()
            batch.release()
            raise

    def drain(self) -> int:
        """Refine what bronze holds beyond the mark, in groups of bounded size; return how many versions that was."""
        current = self._lake.version(FRAMES)
        first = low = self._mark(TRADES)
        for high in self._group_ends(low, current):
            self.run(self._lake.read_changes(FRAMES, low, high), high).release()
            low = high
        self._refresh()
        self._id_gaps.write_filled(self._lake)
        return max(low - first, 0)

    def forget(self) -> None:
        """Read anew what the tables say of ids and names: something else has written to them."""
        self._high_water = HighWater()
        self._symbols = None

    def on_timer(self, now_s: float) -> None:
        """Give rows to the holes that have lasted by now (UTC, seconds): a venue that fell silent calls nobody."""
        self._refresh()
        self._id_gaps.write_found(self._lake, int(now_s * 1_000_000))

    def advance_mark(self) -> None:
        """Mark all of bronze as refined, once it is: a batch that brought no trade has left no mark."""
        self._lake.advance(TRADES, self._app_id(TRADES), self._lake.version(FRAMES))

    def _write(self, batch: _Batch, version: int) -> Refined:
        beside = {kind: batch.new_rows(kind) for kind in BESIDE_TRADES}
        new_trades = batch.new_trades()
        quarantine = batch.quarantine()
        counts = batch.counts
        written = {
            kind: self._append(kind.table, rows, counts[kind.plural], version, kind.fault)
            for kind, rows in beside.items()
        }
        if beside[SYMBOL] is not None:
            self._symbols = None
        self._id_gaps.take(batch.spans, batch.trades, batch.lost_ids())
        self._id_gaps.write_found(self._lake, batch.newest_us)
        self._append(QUARANTINE, quarantine, counts["quarantined"], version, "after_quarantine_commit")
        trades_version = self._append(TRADES, new_trades, counts["trades"], version, TRADE.fault)
        if trades_version is not None:
            self._high_water.advance(batch.spans, trades_version)
        self._id_gaps.write_filled(self._lake)
        trades = new_trades if new_trades is not None else batch.no_trades()
        return Refined(trades, trades_version, beside[CANDLE], written[CANDLE], counts, batch.cached)

    def _append(self, table: Table, rows: DataFrame | None, count: int, version: int, fault: str) -> int | None:
        if rows is None:
            return None
        written = self._lake.append(table, rows, Txn(self._app_id(table), version), count=count)
        fault_point(fault)
        return written

    def _names(self, frames: DataFrame, version: int) -> Symbols:
        """What names stand for: what a batch says of them counts from the next one on, also when it is done again."""
        if self._symbols is None and self._mark(SYMBOLS) >= version:
            return listed_symbols(self._lake, but=frames)
        self._symbols = self._symbols or listed_symbols(self._lake)
        return self._symbols

    def _refresh(self) -> None:
        stored = self._high_water.refresh(self._lake)
        if stored is not None:
            self._id_gaps.restore(self._lake, stored)

    def _app_id(self, target: Table) -> str:
        return self._lake.app_id(target, self.name, FRAMES)

    def _mark(self, target: Table) -> int:
        return self._lake.mark(target, self._app_id(target)) or 0

    def _group_ends(self, mark: int, current: int) -> Iterator[int]:
        """Versions at which a group ends.

        Up to the other targets' marks the groups must be those of the run that a crash cut off, or rows that were to be
        judged together would not be, and what was skipped by txn would not be what was written.
        """
        low = mark
        for high in sorted({self._mark(table) for table in self.writes if table is not TRADES}):
            if high > low:
                yield high
                low = high
        if low >= current:
            return
        history = self._lake.spark.sql(f"DESCRIBE HISTORY {self._lake.identifier(FRAMES)} LIMIT {current - low + 1}")
        landed = history.select("version", _rows_written().alias("rows"))
        rows_in = {row["version"]: row["rows"] or 0 for row in landed.collect()}
        waiting = 0
        for version in range(low + 1, current + 1):
            waiting += rows_in.get(version, 0)
            if waiting >= self._lake.settings.lake.max_offsets_per_trigger or version == current:
                yield version
                waiting = 0


class _Batch:
    """One batch on its way: what its rows are, judged against what the tables hold before any write."""

    def __init__(self, lake: Lake, high_water: HighWater, frames: DataFrame, symbols: Symbols) -> None:
        self._lake = lake
        self._high_water = high_water
        self._conflicts: list[DataFrame] = []
        self.cached: list[DataFrame] = []
        self.spans: list[Span] = []
        tables = [kind.plural for kind in ROW_KINDS]
        self.counts = dict.fromkeys(("frames", "control", *tables, "copies", "quarantined"), 0)
        self._symbols = symbols
        self._frames = frames.drop(COMMIT_VERSION)
        self._routed = self._keep(route_frames(self._frames, symbols))
        found = survey(self._routed)
        self.spans, self.newest_us = found.spans, found.newest_us
        self.counts["frames"] = sum(found.routes.values())
        self.counts["control"] = found.routes.get(CONTROL_ROUTE, 0)
        self.trades = canonical_trades(self._routed)
        self._strict: DataFrame | None = None
        self._kinds: dict[str, _Found] = {}
        if found.routes.get(STRICT_ROUTE):
            self._strict = self._keep(parse_strictly(self._routed.where(f.col(ROUTE) == STRICT_ROUTE), symbols))
            self._kinds = _kinds_found(self._strict)

    def release(self) -> None:
        """Let all cached rows go."""
        for frame in self.cached:
            frame.unpersist()

    def no_trades(self) -> DataFrame:
        """No rows, with the columns of silver.trades."""
        return canonical_trades(self._routed.limit(0))

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
            self.trades = self.trades.union(rows_of_kind(self._strict, TRADE))
            self.spans = survey(self.trades.withColumn(ROUTE, f.lit(TRADE_ROUTE))).spans
        rows = self.trades
        if not self.spans:
            return None
        stored = self._high_water.stored_copies(self._lake, self.spans)
        if stored is None and not any(span.repeats for span in self.spans):
            self.counts["trades"] = sum(span.rows for span in self.spans)
            return rows
        return self._judge(TRADE, rows, stored)

    def lost_ids(self) -> list[tuple[str, LostIds]]:
        """What venues no longer have, with the venue: a marker is rare, and read here once more instead of in Spark."""
        if LostIds.kind not in self._kinds:
            return []
        markers = self._routed.where((f.col(ROUTE) == STRICT_ROUTE) & (f.col("channel") == GAP_CHANNEL))
        taken = markers.select(*PARSER_TAKES).withColumn("received_at", f.unix_micros("received_at")).collect()
        rows = [
            (row["venue"], parsed) for row in taken for parsed in parse_frame(frame_of(row.asDict(), self._symbols))
        ]
        return [(venue, parsed) for venue, parsed in rows if isinstance(parsed, LostIds)]

    def quarantine(self) -> DataFrame | None:
        """The rows to quarantine, with their frames' bytes; None when there are none. Called after the judgments."""
        found = list(self._conflicts)
        if self._strict is not None and Rejected.kind in self._kinds:
            found.append(rejected_rows(self._strict))
            self.counts["quarantined"] += self._kinds[Rejected.kind].rows
        if not found:
            return None
        bad, frame = reduce(DataFrame.union, found).alias("bad"), self._frames.alias("frame")
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
        self.cached.append(frame.persist())
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


def _rows_written() -> Column:
    """How many rows a commit of a history has appended: by Spark's name of the figure, else by delta-rs's."""
    figures = f.col("operationMetrics")
    return f.coalesce(figures["numOutputRows"], figures["num_added_rows"]).cast("bigint")
