"""Spans of time, few and apart from each other: what a table is asked for, and which rows lie in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from cryptolake.audit.kinds import MINUTE_US
from cryptolake.audit.places import Bools
from cryptolake.audit.spill import Ints
from lakehouse.conditions import AnyOf, in_spans

MOST = 32  # spans that a table is asked for at once
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST_US = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)


class Spans:
    """Spans in microseconds since 1970 UTC, ends excluded, in order; those that touch are one.

    Args:
        spans: starts and ends, in any order; when they are more than `MOST`, the narrowest gaps are bridged.
    """

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[tuple[int, int]] = []
        for start, end in sorted(spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self.pairs = tuple(_bridged(merged))

    @classmethod
    def of_minutes(cls, numbers: Ints) -> Spans:
        """Cover minutes, given as numbers of minutes since 1970."""
        found = np.unique(numbers)
        breaks = np.flatnonzero(np.diff(found) > 1)
        starts = found[np.concatenate([[0], breaks + 1])] if len(found) else found
        ends = found[np.concatenate([breaks, [len(found) - 1]])] if len(found) else found
        return cls((s * MINUTE_US, (e + 1) * MINUTE_US) for s, e in zip(starts.tolist(), ends.tolist(), strict=True))

    def __or__(self, other: Spans) -> Spans:
        """Cover what either covers."""
        return Spans([*self.pairs, *other.pairs])

    def widened(self, before_us: int, after_us: int) -> Spans:
        """Begin each span earlier and end it later."""
        return Spans((start - before_us, end + after_us) for start, end in self.pairs)

    def whole(self, length_us: int) -> Spans:
        """Begin and end each span at a multiple of a length."""
        return Spans((start // length_us * length_us, -(-end // length_us) * length_us) for start, end in self.pairs)

    def hold(self, times_us: Ints) -> Bools:
        """Say which times lie in a span."""
        bounds = np.asarray(self.pairs, dtype=np.int64).reshape(-1, 2)
        at = np.searchsorted(bounds[:, 0], times_us, side="right") - 1
        inside: Bools = at >= 0
        inside[inside] = times_us[inside] < bounds[at[inside], 1]
        return inside

    def where(self, column: str) -> AnyOf:
        """Say that a time lies in a span; nothing does when there is none."""
        return in_spans(column, [(time_of(start), time_of(end)) for start, end in self.pairs])


def time_of(us: int) -> dt.datetime:
    """A moment with its zone; what no calendar holds becomes the first or last that one does."""
    return _EPOCH + dt.timedelta(microseconds=min(max(us, 0), _LAST_US))


def _bridged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if len(spans) <= MOST:
        return spans
    widest = sorted((after[0] - before[1] for before, after in pairwise(spans)), reverse=True)[MOST - 1]
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and start - found[-1][1] <= widest:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
