"""Keep the tables small in files: compact them, and remove files that no kept version needs."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.lake import Lake
from serving.catalog import TABLES


@dataclass(frozen=True)
class Maintained:
    """What was done to one table."""

    table: str
    files_before: int
    files_after: int

    def __str__(self) -> str:
        return f"{self.table}: {self.files_before} files -> {self.files_after}"


def maintain(lake: Lake) -> list[Maintained]:
    """Run OPTIMIZE and VACUUM, with Delta's default retention, on the owner's tables with files.

    On a platform OPTIMIZE clusters, too; tables in folders are not clustered (ADR 10).
    Only the owner of the lake calls this, between two batches: no other writer of its tables is at work then.
    """
    done = []
    for table in (table for table in TABLES if table.by_owner):
        before = _files(lake, lake.identifier(table))
        if before == 0:
            continue
        with lake.keeping_marks(table):
            lake.spark.sql(f"OPTIMIZE {lake.identifier(table)}")
            lake.spark.sql(f"VACUUM {lake.identifier(table)}")
        done.append(Maintained(table.name, before, _files(lake, lake.identifier(table))))
    return done


def _files(lake: Lake, identifier: str) -> int:
    detail = lake.spark.sql(f"DESCRIBE DETAIL {identifier}").first()
    return int(detail["numFiles"]) if detail else 0
