"""When the owner of the lake tends which table, beside the stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bronze.tables import FRAMES
from lakehouse.lake import Lake
from lakehouse.maintenance.compaction import Judged
from lakehouse.maintenance.grouping import Worth
from lakehouse.maintenance.tended_table import Hold
from lakehouse.maintenance.tending import Footprint, Tending
from lakehouse.table import Table
from serving.catalog import TABLES
from silver.tables import CANDLES, FIVE_MINUTE_BARS, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS, TRADES

log = logging.getLogger(__name__)

# Which step reads the change feed of a table, and on which table it keeps its mark: what lies above it, it still reads.
READ_BY: Mapping[str, tuple[str, Table]] = {
    FRAMES.name: ("refine", TRADES),
    TRADES.name: ("aggregate", SIX_MINUTE_TRENDS),
    CANDLES.name: ("aggregate", SIX_MINUTE_TRENDS),
    ONE_MINUTE_BARS.name: ("aggregate", FIVE_MINUTE_BARS),
}


def first_unread(lake: Lake, table: Table) -> int:
    """The first version of a table that a step has still to read; the one after the newest when there is none."""
    newest = lake.version(table)
    if table.name not in READ_BY:
        return newest + 1
    step, target = READ_BY[table.name]
    mark = lake.mark(target, lake.app_id(target, step, table)) or 0
    return newest + 1 if lake.unchanged(table, mark, newest) else mark + 1


def tended_tables(lake: Lake) -> list[Table]:
    """The tables in folders that the owner writes to, and delta-rs can."""
    return [table for table in TABLES if table.by_owner and lake.exists(table) and lake.past_spark(table) is not None]


@dataclass
class _Tended:
    """Up to which version a table has been tended, when (the monotonic clock), and how that ended."""

    version: int
    at_s: float
    ever: bool = False
    failed: bool = False


class Upkeep:
    """Tends the tables one after the other, a little at a time.

    Args:
        lake: whose owner this process is.
        hold: keeps batches out while something is changed that they could see.
        advance_marks: lets a step mark versions that brought it nothing, so that they need not be kept for it; called
            while batches are kept out.
    """

    def __init__(self, lake: Lake, hold: Hold, advance_marks: Callable[[], None]) -> None:
        self._lake = lake
        self._hold = hold
        self._advance_marks = advance_marks
        self._limits = lake.settings.maintenance
        self._tables = tended_tables(lake) if self._limits.enabled else []
        self._state = {table.name: _Tended(lake.version(table), time.monotonic()) for table in self._tables}
        self._next = 0
        self._work: Iterator[None] | None = None

    def advance(self) -> None:
        """Look whether the next table is due and go on with the work, for about `maintenance.budget_ms`."""
        ends_s = time.monotonic() + self._limits.budget_ms / 1000
        if self._work is None and self._tables:
            table, self._next = self._tables[self._next], (self._next + 1) % len(self._tables)
            self._work = self._tend(table) if self._is_due(table) else None
        while self._work is not None and time.monotonic() < ends_s:
            if next(self._work, "done") == "done":
                self._work = None

    def _is_due(self, table: Table) -> bool:
        tended, version = self._state[table.name], self._lake.version(table)
        if version - tended.version >= self._limits.every_commits and not tended.failed:
            return True
        changed = version != tended.version or not tended.ever
        return changed and time.monotonic() - tended.at_s >= self._limits.every_s

    def _tend(self, table: Table) -> Iterator[None]:
        try:
            yield from self._tended(table)
            self._state[table.name] = _Tended(self._lake.version(table), time.monotonic(), ever=True)
        except Exception:
            # The stream goes on without it.
            log.exception("upkeep of %s failed; tried again in %d s", table.name, self._limits.every_s)
            self._state[table.name] = _Tended(-1, time.monotonic(), failed=True)

    def _tended(self, table: Table) -> Iterator[None]:
        if self._lake.version(table) - first_unread(self._lake, table) >= self._limits.every_commits:
            with self._hold():
                self._advance_marks()
            yield
        for _ in tend(self._lake, table, self._hold, Worth.by_and_by):
            yield


def tend(lake: Lake, table: Table, hold: Hold, judged: Judged) -> Iterator[tuple[Footprint, Footprint] | None]:
    """Tend one table now.

    Args:
        lake: whose owner this process is.
        table: one of `tended_tables`.
        hold: keeps batches out.
        judged: says which compaction is worth it.

    Yields:
        None after every piece and, at the end, what there was before and what there is now.
    """
    tending = Tending(lake, table, hold, lambda: first_unread(lake, table))
    before, began_s = tending.footprint(), time.monotonic()
    for _ in tending.steps(judged):
        yield None
    after = tending.footprint()
    log.info(
        "upkeep of %s: %d files -> %d, log of %d files -> %d, %.1f MB on disk -> %.1f, within %.1f s",
        table.name, before.files, after.files, before.log_files, after.log_files,
        before.disk_bytes / 1e6, after.disk_bytes / 1e6, time.monotonic() - began_s,
    )  # fmt: skip
    yield before, after
