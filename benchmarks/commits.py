"""When rows became readable: the commits of a Delta table, by the moment at which each appeared in the log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

_PARQUET_COLUMN = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Commit:
    """One commit.

    Args:
        version: of the table.
        at_s: when the commit appeared under its name, which is when a reader sees it (seconds since 1970).
        operation: what the writer calls it.
        added: the data files that it brought.
        removed: how many files it took away.
    """

    version: int
    at_s: float
    operation: str
    added: tuple[Path, ...]
    removed: int

    def column(self, *names: str) -> pa.Table:
        """Columns of the rows that it brought."""
        return pa.concat_tables(pq.read_table(file, columns=list(names), partitioning=None) for file in self.added)


def commits_of(table: Path) -> list[Commit]:
    """All commits of a table whose log has not been cut, in order."""
    return [_commit(table, log) for log in sorted((table / "_delta_log").glob("*.json"))]


def appends(commits: Iterable[Commit], from_s: float = 0, to_s: float = float("inf")) -> list[Commit]:
    """Those that brought rows and took none away, between two moments."""
    return [commit for commit in commits if commit.added and not commit.removed and from_s <= commit.at_s < to_s]


def latencies_s(commits: Iterable[Commit], column: str, from_us: int, to_us: int) -> npt.NDArray[np.float64]:
    """How long after the time in a column each row was readable.

    Args:
        commits: that brought the rows.
        column: a timestamp.
        from_us: only rows of this time on count (UTC, us) ...
        to_us: ... and before this one.
    """
    found = [np.empty(0)]
    for commit in commits:
        times_us = commit.column(column)[column].cast(_PARQUET_COLUMN).cast(pa.int64()).to_numpy()
        within = times_us[(times_us >= from_us) & (times_us < to_us)]
        found.append(commit.at_s - within / 1e6)
    return np.concatenate(found)


def percentiles(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """p50, p95, p99 and the greatest, in the unit of the values; nothing of nothing."""
    if not len(values):
        return {}
    named = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(values, at)), 3) for name, at in named.items()}


def _commit(table: Path, log: Path) -> Commit:
    actions: list[dict[str, Any]] = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    info = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    added = tuple(table / action["add"]["path"] for action in actions if "add" in action)
    removed = sum("remove" in action for action in actions)
    # The log is written beside and then given its name, which changes its status, not its content.
    return Commit(int(log.stem), log.stat().st_ctime_ns / 1e9, info.get("operation", ""), added, removed)
