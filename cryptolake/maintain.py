"""Keep the tables small in files, at once and all of them: compact them, and remove what no kept version needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from cryptolake.upkeep import tend, tended_tables
from lakehouse.lake import Lake
from lakehouse.maintenance.grouping import Worth
from lakehouse.maintenance.tended_table import Hold
from lakehouse.maintenance.tending import Footprint
from lakehouse.table import Table
from serving.catalog import TABLES


@dataclass(frozen=True)
class Maintained:
    """What was done to one table; of a table of a catalog only its files are known."""

    table: str
    before: Footprint
    after: Footprint

    def as_json(self) -> dict[str, Any]:
        """For the answer to a command."""
        return asdict(self)

    @classmethod
    def of_json(cls, answer: dict[str, Any]) -> Maintained:
        """What `as_json` made."""
        return cls(answer["table"], Footprint(**answer["before"]), Footprint(**answer["after"]))


def maintain(
    lake: Lake, hold: Hold = nullcontext, between: Callable[[], object] = lambda: None
) -> Iterator[Maintained]:
    """Tend every table of the owner's that has files.

    Args:
        lake: whose owner this process is; no other writer of its tables is at work.
        hold: keeps batches out, where there are any.
        between: called after every piece of the work.

    Yields:
        what was done, table by table.
    """
    here = tended_tables(lake)
    for table in (table for table in TABLES if table.by_owner and lake.exists(table)):
        if table not in here:
            yield from _by_spark(lake, table, hold)
            continue
        for done in tend(lake, table, hold, Worth.at_once):
            if done is not None and done[0].files:
                yield Maintained(table.name, *done)
            between()


def show(maintained: Sequence[Maintained], console: Console | None = None) -> None:
    """Print what was done as a table."""
    shown = RichTable("table", *(f"{what}\nbefore -> after" for what in ("files", "MB", "MB on disk", "log files")))
    for done in maintained:
        shown.add_row(done.table, *(f"{was:,} -> {now:,}" if was or now else "" for was, now in _figures(done)))
    (console or Console()).print(shown)


def _figures(done: Maintained) -> list[tuple[float, float]]:
    before, after = done.before, done.after
    return [
        (before.files, after.files),
        (round(before.file_bytes / 1e6, 1), round(after.file_bytes / 1e6, 1)),
        (round(before.disk_bytes / 1e6, 1), round(after.disk_bytes / 1e6, 1)),
        (before.log_files, after.log_files),
    ]


def _by_spark(lake: Lake, table: Table, hold: Hold) -> Iterator[Maintained]:
    """OPTIMIZE, which clusters, too, and VACUUM, with Delta's retention: of a catalog, or of a clustered older home."""
    with hold():
        before = _detail(lake, table)
        if not before.files:
            return
        with lake.keeping_marks(table):
            lake.spark.sql(f"OPTIMIZE {lake.identifier(table)}")
            lake.spark.sql(f"VACUUM {lake.identifier(table)}")
        yield Maintained(table.name, before, _detail(lake, table))


def _detail(lake: Lake, table: Table) -> Footprint:
    detail = lake.spark.sql(f"DESCRIBE DETAIL {lake.identifier(table)}").first()
    files, size = (int(detail["numFiles"]), int(detail["sizeInBytes"])) if detail else (0, 0)
    return Footprint(files, size, 0, 0, 0, 0)
