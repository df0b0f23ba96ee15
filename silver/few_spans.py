"""What trades in memory hold of each scope: as silver.survey tells of a batch in Spark."""

from __future__ import annotations

import pyarrow as pa

from lakehouse.arrow import in_micros
from lakehouse.selecting import select
from silver.high_water import NUMBERED, Span

# Fills of one match share the number of the venue's order, so their keys tell them apart.
_SPANS = f"""
    SELECT venue, scope, numbered_by, CAST(sum(rows) AS BIGINT) AS rows, count(*) AS numbers, min(number) AS lowest,
        max(number) AS highest, min_by(received_at, number) AS received_at
    FROM (
        SELECT venue, scope, numbered_by, number, key, count(*) AS rows, min(received_at) AS received_at
        FROM ({NUMBERED}) AS numbered GROUP BY venue, scope, numbered_by, number, key
    ) AS by_number
    GROUP BY venue, scope, numbered_by
"""  # noqa: S608 - no value is in it


def spans_of(trades: pa.Table) -> list[Span]:
    """Survey trades.

    Args:
        trades: columns of silver.trades.
    """
    found = in_micros(select(_SPANS, trades), "received_at", "received_us")
    return [Span(**row) for row in found.to_pylist()]
