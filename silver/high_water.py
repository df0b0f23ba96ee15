"""Which numbers of each stream of trades have been written, so that only what may be a copy is looked up.

Where ids are numeric the scope is the symbol and the number the trade id; where the venue has an order of its own, the
symbol and that order's number, which copies of a trade share; elsewhere the session and its sequence. A row above its
scope's mark cannot be in silver.trades.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from lakehouse.arrow import in_micros
from lakehouse.conditions import AnyOf
from lakehouse.lake import Lake
from silver.tables import TRADES

# More ranges than this in one condition cost more than the files they prune.
_MAX_RANGES = 64
# Which column names the scope of a number.
_SCOPE_OF = {"trade_id": "symbol", "venue_sequence": "symbol", "sequence": "session_id"}
# Of every trade its scope, its number, and what tells it from others of that number, as number_columns says it.
NUMBERED = """
    SELECT venue, received_at,
        CASE WHEN trade_id IS NOT NULL THEN 'trade_id' WHEN venue_sequence IS NOT NULL THEN 'venue_sequence'
            ELSE 'sequence' END AS numbered_by,
        CASE WHEN trade_id IS NOT NULL OR venue_sequence IS NOT NULL THEN symbol ELSE session_id END AS scope,
        coalesce(trade_id, venue_sequence, sequence) AS number,
        CASE WHEN venue_sequence IS NOT NULL THEN trade_key END AS key
    FROM {rows}
"""
_SPANS = f"""
    SELECT venue, scope, numbered_by, count(*) AS rows, min(number) AS lowest, max(number) AS highest,
        min_by(received_at, number) AS received_at
    FROM ({NUMBERED}) AS numbered GROUP BY venue, scope, numbered_by
"""  # noqa: S608 - no value is in it


# The stored trades that share a key with some.
COPIES = """
    SELECT * FROM {rows} AS stored
    WHERE (venue, symbol, trade_key) IN (SELECT venue, symbol, trade_key FROM {batch})
"""


@dataclass(frozen=True)
class Span:
    """What a batch, or the table, holds of one scope.

    Args:
        venue: the market.
        scope: symbol, or session where the venue numbers nothing.
        numbered_by: the column whose numbers these are: trade_id, venue_sequence or sequence.
        rows: trades.
        numbers: different numbers of theirs; where trades share one, different keys.
        lowest: their lowest number.
        highest: their highest number.
        received_us: when the one with the lowest number was received (UTC, us).
    """

    venue: str
    scope: str
    numbered_by: str
    rows: int
    numbers: int
    lowest: int
    highest: int
    received_us: int

    @property
    def repeats(self) -> bool:
        """Whether a key may occur more than once."""
        return self.rows > self.numbers


def number_columns() -> list[Column]:
    """The scope and the number of a trade, with the column whose number it is."""
    by_id, by_order = f.col("trade_id").isNotNull(), f.col("venue_sequence").isNotNull()
    return [
        f.when(by_id, "trade_id").when(by_order, "venue_sequence").otherwise("sequence").alias("numbered_by"),
        f.when(by_id | by_order, f.col("symbol")).otherwise(f.col("session_id")).alias("scope"),
        f.coalesce("trade_id", "venue_sequence", "sequence").alias("number"),
    ]


def span_figures(numbers: Column) -> list[Column]:
    """The figures of a Span but for its rows, over rows of `number` and `received_at`."""
    return [
        numbers.alias("numbers"),
        f.min("number").alias("lowest"),
        f.max("number").alias("highest"),
        f.unix_micros(f.min_by("received_at", "number")).alias("received_us"),
    ]


class HighWater:
    """The highest number written of each scope: a copy of what silver.trades says, reloaded whenever it is not."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str], int] = {}
        self._version = -1

    def refresh(self, lake: Lake) -> list[Span] | None:
        """Make the marks those of the table's newest version.

        Returns:
            what the table holds, if it had to be read; else None.
        """
        version = lake.version(TRADES)
        if self._version >= 0 and lake.unchanged(TRADES, self._version, version):  # a compaction, or a mark
            self._version = version
            return None
        # A key is in the table once; where numbers are shared by rows of a frame nobody asks how many there are.
        spans = [
            Span(**row, numbers=row["rows"])
            for row in in_micros(lake.select(TRADES, _SPANS), "received_at", "received_us").to_pylist()
        ]
        self._marks = {(span.venue, span.scope): span.highest for span in spans}
        self._version = version
        return spans

    def advance(self, spans: Iterable[Span], version: int) -> None:
        """Take over what a batch has written in this version of the table."""
        if version != self._version + 1:
            return  # someone else wrote in between: the next refresh reloads
        for span in spans:
            key = span.venue, span.scope
            self._marks[key] = max(span.highest, self._marks.get(key, span.highest))
        self._version = version

    def tops(self, spans: Iterable[Span]) -> dict[tuple[str, str], int]:
        """The highest number written, by venue and scope, where a batch has numbers that are not above it."""
        return {(span.venue, span.scope): self._marks[span.venue, span.scope] for span, _ in self._ranges(spans)}

    def stored_copies(self, lake: Lake, spans: Iterable[Span]) -> DataFrame | None:
        """Read the stored trades that a batch may hold copies of; None when there can be none."""
        ranges = self._ranges(spans)
        return lake.read_where(TRADES, _conditions(ranges)) if ranges else None

    def copies_of(self, lake: Lake, spans: Iterable[Span], trades: pa.Table) -> pa.Table | None:
        """Read of the stored trades those that share a key with one in memory.

        One old trade among new ones makes the numbers between them a condition that holds for half the table.
        """
        ranges = self._ranges(spans)
        batch = trades.select(list(TRADES.key))
        return lake.select(TRADES, COPIES, _conditions(ranges), batch=batch) if ranges else None

    def _ranges(self, spans: Iterable[Span]) -> list[tuple[Span, int]]:
        """The scopes of which the table holds numbers from the lowest of the batch on, and up to which."""
        return [
            (span, min(span.highest, mark))
            for span in spans
            if (mark := self._marks.get((span.venue, span.scope))) is not None and span.lowest <= mark
        ]


def _conditions(ranges: list[tuple[Span, int]]) -> AnyOf:
    """One condition for each range or, when there are too many, for each column of numbers; it holds for more rows."""
    if len(ranges) <= _MAX_RANGES:
        return [
            [
                ("venue", "=", span.venue),
                (_SCOPE_OF[span.numbered_by], "=", span.scope),
                (span.numbered_by, ">=", span.lowest),
                (span.numbered_by, "<=", highest),
            ]
            for span, highest in ranges
        ]
    by_number = {
        number: some for number in _SCOPE_OF if (some := [(s, top) for s, top in ranges if s.numbered_by == number])
    }
    return [
        [
            ("venue", "in", sorted({span.venue for span, _ in some})),
            (_SCOPE_OF[number], "in", sorted({span.scope for span, _ in some})),
            (number, ">=", min(span.lowest for span, _ in some)),
            (number, "<=", max(top for _, top in some)),
        ]
        for number, some in by_number.items()
    ]
