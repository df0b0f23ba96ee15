"""What the log says of a file's rows, so that readers need not open it."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# Longer texts bound nothing worth its place in the log.
_LONGEST_TEXT = 64
Bounds = tuple[Any, Any]


class FileBounds:
    """Number of rows, nulls, least and greatest values of what is written to a file, chunk by chunk.

    Args:
        columns: those that have bounds: of texts, whole numbers, doubles or times. Decimals have none (ADR 10).
    """

    def __init__(self, columns: Collection[str]) -> None:
        self._rows = 0
        self._nulls = dict.fromkeys(columns, 0)
        self._bounds: dict[str, Bounds] = {}

    def take(self, rows: pa.Table) -> None:
        """Take in a chunk of rows."""
        self._rows += rows.num_rows
        for name in self._nulls:
            self._nulls[name] += rows[name].null_count
            found = pc.min_max(rows[name]).as_py()
            if found["min"] is not None:
                low, high = self._bounds.get(name, (found["min"], found["max"]))
                self._bounds[name] = min(low, found["min"]), max(high, found["max"])

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return self._rows

    def as_stats(self) -> dict[str, Any]:
        """The statistics of an `add` action."""
        kept = {name: bounds for name, bounds in self._bounds.items() if all(map(_tells, bounds))}
        return {
            "numRecords": self._rows,
            "minValues": {name: _written(low) for name, (low, _) in kept.items()},
            "maxValues": {name: _written(high) for name, (_, high) in kept.items()},
            "nullCount": self._nulls,
        }


def _tells(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return not isinstance(value, float) or math.isfinite(value)


def _written(value: Any) -> Any:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
