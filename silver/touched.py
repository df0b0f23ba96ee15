"""Which minutes a batch of rows touches, and how far each partition's clock has come with it."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from lakehouse.arrow import in_micros
from lakehouse.lake import COMMIT_VERSION
from silver.closing import BarKey, Channel

MINUTES = "SELECT DISTINCT venue, symbol, minute FROM {rows}"


class Touched(NamedTuple):
    """What a batch of trades means to what waits.

    Args:
        keys: the minutes it has trades of, with the first version of silver.trades that brought one.
        marks_us: how far each partition has come (UTC, us).
    """

    keys: dict[BarKey, int]
    marks_us: dict[Channel, int]


def touched_query(clock_skew_s: int, version: int | None) -> str:
    """Make the SELECT from trades that `touched` reads.

    Args:
        clock_skew_s: an event counts as no later than so long after it was received, so that a clock that runs ahead
            closes nothing early.
        version: the one that wrote them; None where each has its own, as changes have.
    """
    return f"""
        SELECT venue, symbol, date_trunc('minute', event_time) AS minute, topic, partition,
            max(least(event_time, received_at + INTERVAL '{clock_skew_s}' SECOND)) AS reached,
            min({COMMIT_VERSION if version is None else version}) AS first_version
        FROM {{rows}} GROUP BY venue, symbol, date_trunc('minute', event_time), topic, partition
    """  # noqa: S608 - numbers of settings and of versions


def touched(found: pa.Table) -> Touched:
    """Take together what the query finds: a row for each minute, symbol and partition."""
    result = Touched({}, {})
    for row in in_micros(in_micros(found, "minute", "minute"), "reached", "reached").to_pylist():
        key = BarKey(row["venue"], row["symbol"], row["minute"])
        channel = Channel(row["venue"], row["topic"], row["partition"])
        first = row["first_version"]
        result.keys[key] = min(first, result.keys.get(key, first))
        result.marks_us[channel] = max(row["reached"], result.marks_us.get(channel, row["reached"]))
    return result


def minutes_of(found: pa.Table) -> list[BarKey]:
    """Put the minutes that MINUTES finds into the order of time."""
    keys = zip(*in_micros(found, "minute", "minute").to_pydict().values(), strict=True)
    return sorted((BarKey(*key) for key in keys), key=lambda key: key.minute_us)
