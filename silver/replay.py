"""Tries the current rules on quarantined rows: what is good now goes to silver, and each row says what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import TimestampType

from lakehouse.arrow import contract_schema
from lakehouse.conditions import spanning
from lakehouse.faults import fault_point
from lakehouse.lake import Lake, Txn
from lakehouse.table import Table
from silver.copies import CONFLICT_REASON, NEW, SAME
from silver.few_copies import verdicts
from silver.few_rows import PARSED, few_of_kind
from silver.few_spans import spans_of
from silver.high_water import HighWater, Span
from silver.id_gaps import IdGaps, holes_of_symbols
from silver.kinds import ROW_KINDS, TRADE, RowKind
from silver.quality import RULE_VERSION
from silver.rows import WHOLE_FRAME, Rejected
from silver.selection import Selection
from silver.stored import stored_beside
from silver.strict import KIND, parsed_rows
from silver.symbol_table import listed_symbols
from silver.symbols import Symbols
from silver.tables import QUARANTINE

# What came of a row. The first four are dealt with and not tried again; the last two are quarantined still.
SILVER, COPY, SPLIT, EMPTY = "silver", "copy", "split", "empty"
REJECTED, CONFLICT = "rejected", "conflict"
STILL_BAD = (REJECTED, CONFLICT)
MEANING: Mapping[str, str] = {
    SILVER: "in silver now",
    COPY: "a further copy of a row of silver",
    SPLIT: "a frame whose good rows are in silver and whose bad rows are quarantined one by one",
    EMPTY: "no row in it",
    REJECTED: "breaks rules still",
    CONFLICT: "contradicts the row of silver that has its key",
}
OUTCOMES: tuple[str, ...] = tuple(MEANING)

_PLACE = ("topic_id", "partition", "offset", "row")
TARGETS: tuple[Table, ...] = tuple(kind.table for kind in ROW_KINDS)

Row = dict[str, Any]
Place = tuple[Any, ...]


@dataclass
class _Tried:
    """A quarantined row and what the current rules make of it."""

    row: Row
    parsed: list[Row]
    outcomes: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """What came of the row as a whole."""
        if len(self.outcomes) <= 1:
            return self.outcomes[0] if self.outcomes else EMPTY
        if any(outcome in STILL_BAD for outcome in self.outcomes):
            return SPLIT
        return SILVER if SILVER in self.outcomes else COPY


class Replay:
    """Replays the quarantine, group by group.

    Every group first writes what is good to silver and then marks its quarantined rows, both under a number of its own
    (its mark). A crash between the two leaves rows that are in silver and not marked: the next replay of
    anything marks them first. Only refine and this write these tables, and never at the same time: refine must have
    finished what a crash cut off, or rows that it has yet to write would be taken as lost.

    Args:
        lake: the lake this process owns; its session is looked at for every group anew.
    """

    name = "replay"
    reads: tuple[Table, ...] = (QUARANTINE,)
    writes: tuple[Table, ...] = (*TARGETS, QUARANTINE)

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._high_water = HighWater()
        self._id_gaps = IdGaps(lake.settings.lake.gap_open_s)

    def groups(self, selection: Selection) -> Iterator[list[Row]]:
        """Read the selected rows that are not dealt with, in groups of bounded size; unfinished ones come first."""
        still_bad = f.col("outcome").isNull() | f.col("outcome").isin(*STILL_BAD)
        open_rows = self._lake.read(QUARANTINE).where(still_bad)
        if self.unfinished():
            yield from self._in_groups(self._in_silver(open_rows))
            open_rows = self._lake.read(QUARANTINE).where(still_bad)
        yield from self._in_groups(open_rows.where(selection.condition()))

    def unfinished(self) -> bool:
        """Say whether a replay was cut off between its writes to silver and its marks."""
        done = self._mark(QUARANTINE)
        return any(self._mark(table) > done for table in TARGETS)

    def run(self, rows: Sequence[Row]) -> Counter[str]:
        """Try one group.

        Args:
            rows: as `groups` gives them.

        Returns:
            how many rows have which outcome, and how many of them were `marked` anew.
        """
        number = 1 + max(self._mark(table) for table in self.writes)
        symbols = listed_symbols(self._lake)
        tried = [_Tried(row, _own_rows(row, symbols)) for row in rows]
        found = self._insert([parsed for each in tried for parsed in each.parsed], number)
        for each in tried:
            each.outcomes = [found.get(_place(parsed), REJECTED) for parsed in each.parsed]
        told: Counter[str] = Counter(each.outcome for each in tried)
        told["marked"] = self._mark_rows(tried, number)
        return told

    def _insert(self, parsed: list[Row], number: int) -> dict[Place, str]:
        """Write what silver does not hold, and say of every good row what became of it."""
        found: dict[Place, str] = {}
        in_memory = pa.Table.from_pylist(parsed, PARSED)
        for kind in ROW_KINDS:
            rows = few_of_kind(in_memory, kind)
            if not rows.num_rows:
                continue
            spans = spans_of(rows) if kind is TRADE else []
            stored = self._stored(kind, rows, spans)
            held = set(_places(stored)) if stored is not None else set()
            own = pa.array([place in held for place in _places(rows)], pa.bool_())
            judged = verdicts(rows, stored, kind.key, kind.values)
            new = rows.filter(pc.and_(pc.equal(judged, NEW), pc.invert(own)))
            if new.num_rows:
                self._open_gaps(spans, rows)
                version = self._lake.append_rows(kind.table, new, self._txn(kind.table, number))
                fault_point("after_replay_insert")
                self._close_gaps(spans, version)
            pairs = zip(judged.to_pylist(), own.to_pylist(), strict=True)
            found |= zip(_places(rows), (_outcome(*pair) for pair in pairs), strict=True)
        return found

    def _open_gaps(self, spans: list[Span], trades: pa.Table) -> None:
        """Give rows of silver.gaps to the holes that these trades will show, as refine does, before they show them."""
        if spans:
            self._id_gaps.take(spans, partial(holes_of_symbols, trades), ())
            self._id_gaps.write_found(self._lake, time.time_ns() // 1000)

    def _close_gaps(self, spans: list[Span], version: int | None) -> None:
        if spans and version is not None:
            self._high_water.advance(spans, version)
            self._id_gaps.write_filled(self._lake)

    def _stored(self, kind: RowKind, rows: pa.Table, spans: list[Span]) -> pa.Table | None:
        """Read what silver may hold copies of; None when there can be none."""
        if kind is TRADE:
            held = self._high_water.refresh(self._lake)
            if held is not None:
                self._id_gaps.restore(self._lake, held)
            return self._high_water.copies_of(self._lake, spans, rows)
        return stored_beside(self._lake, kind, rows)

    def _mark_rows(self, tried: Iterable[_Tried], number: int) -> int:
        now_us = time.time_ns() // 1000
        marked: list[Row] = []
        for each in tried:
            verdict = {"outcome": each.outcome, "replay_rule_version": RULE_VERSION}
            if all(each.row[name] == value for name, value in verdict.items()):
                continue
            marked.append({**each.row, **verdict, "replayed_at": now_us})
            if each.outcome == SPLIT:
                marked += _quarantined_apart(each, now_us)
        if not marked:
            return 0
        rows = pa.Table.from_pylist(marked, contract_schema(QUARANTINE))
        self._lake.upsert(QUARANTINE, rows, self._txn(QUARANTINE, number), within=spanning("first_seen", rows))
        fault_point("after_replay_marks")
        return len(marked)

    def _in_silver(self, quarantined: DataFrame) -> DataFrame:
        """Keep the rows that silver holds as well, themselves or a row of their frame."""
        places = [self._lake.read(table).select(*_PLACE) for table in TARGETS]
        held, written = quarantined.alias("held"), reduce(DataFrame.union, places).alias("written")
        same = [f.col(f"held.{name}") == f.col(f"written.{name}") for name in _PLACE]
        same[-1] = same[-1] | (f.col("held.row") == WHOLE_FRAME)
        return held.join(written, reduce(Column.__and__, same), "left_semi")

    def _in_groups(self, rows: DataFrame) -> Iterator[list[Row]]:
        limits = self._lake.settings.lake
        times = {field.name for field in QUARANTINE.schema.fields if isinstance(field.dataType, TimestampType)}
        columns = [f.unix_micros(n).alias(n) if n in times else f.col(n) for n in QUARANTINE.columns]
        group: list[Row] = []
        size = 0
        for row in rows.select(*columns).toLocalIterator():
            group.append({**row.asDict(), "payload": bytes(row["payload"] or b"")})
            size += len(group[-1]["payload"])
            if len(group) >= limits.replay_rows or size >= limits.replay_bytes:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _mark(self, target: Table) -> int:
        return self._lake.mark(target, self._app_id(target)) or 0

    def _txn(self, target: Table, number: int) -> Txn:
        return Txn(self._app_id(target), number)

    def _app_id(self, target: Table) -> str:
        return self._lake.app_id(target, self.name, QUARANTINE)


def _own_rows(quarantined: Row, symbols: Symbols) -> list[Row]:
    """Parse the frame anew and take the rows that were quarantined: all of it, or its one row."""
    parsed = list(parsed_rows(quarantined, symbols))
    if quarantined["row"] == WHOLE_FRAME:
        return parsed
    return [row for row in parsed if row["row"] in (quarantined["row"], WHOLE_FRAME)]


def _outcome(verdict: str, own: bool) -> str:
    if own or verdict == NEW:
        return SILVER
    return COPY if verdict == SAME else CONFLICT


def _quarantined_apart(tried: _Tried, now_us: int) -> list[Row]:
    """The bad rows of a frame that was quarantined as a whole."""
    judged = {"rule_version": RULE_VERSION, "first_seen": now_us, "replayed_at": None, "outcome": None}
    apart = []
    for parsed, outcome in zip(tried.parsed, tried.outcomes, strict=True):
        if outcome in STILL_BAD:
            reasons = list(parsed["reasons"]) if parsed[KIND] == Rejected.kind else [CONFLICT_REASON]
            named = {"row": parsed["row"], "reasons": reasons, "replay_rule_version": None}
            apart.append({**tried.row, **judged, **named})
    return apart


def _places(rows: pa.Table) -> Iterable[Place]:
    return zip(*(rows[name].to_pylist() for name in _PLACE), strict=True)


def _place(row: Row) -> Place:
    return tuple(row[name] for name in _PLACE)
