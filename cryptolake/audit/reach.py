"""How far an audit of what came since a moment reaches, told to every table as a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cryptolake.audit.kinds import CANDLES, GAPS, KINDS, MINUTE_US, TRADES, Kind
from cryptolake.audit.spans import Spans, time_of
from cryptolake.audit.spill import Ints
from cryptolake.audit.trends import MINUTES_BEFORE
from lakehouse.conditions import AnyOf

_SECOND_US = 1_000_000  # copies of a trade tell its time as exactly as their way allows
_FIVE_MINUTES_US = 5 * MINUTE_US


@dataclass(frozen=True)
class Since:
    """From when on an audit looks.

    Args:
        us: frames landed at this time (UTC, us) or later are read, and those that are in flight.
        minutes: spans of minutes to look at as well, such as those that were in flight at the audit before.
    """

    us: int
    minutes: Spans = field(default_factory=Spans)

    def frames(self) -> AnyOf:
        """The frames that came."""
        return [[("ingested_at", ">=", time_of(self.us))]]

    def frames_before(self) -> AnyOf:
        """The frames that did not."""
        return [[("ingested_at", "<", time_of(self.us))]]

    def quarantined(self) -> AnyOf:
        """Rows of the quarantine that may be of the frames that came: it took them in later."""
        return [[("first_seen", ">=", time_of(self.us))]]

    def revised(self) -> AnyOf:
        """Bars whose values were changed since."""
        return [[("revised_at", ">=", time_of(self.us))]]


class Touched:
    """Collects of the frames that came when they were received, and what times their rows tell of."""

    def __init__(self) -> None:
        self._received: list[Ints] = []
        self._times: dict[Kind, list[Ints]] = {kind: [] for kind in KINDS}

    def add_frames(self, batch: Any) -> None:
        """Add rows of bronze.frames."""
        self._received.append(_minutes(batch.column("received_at").drop_null()))

    def add_rows(self, kind: Kind, expected: Any) -> None:
        """Add what they must have become."""
        self._times[kind].append(_minutes(expected.column(kind.time)))

    def reach(self, since: Since, revised: Ints) -> Reach:
        """Say how far the audit reaches.

        Args:
            since: from when on.
            revised: minutes of revised bars.
        """
        times = {kind: Spans.of_minutes(_all(minutes)) for kind, minutes in self._times.items()}
        minutes = times[TRADES] | times[CANDLES] | since.minutes | Spans.of_minutes(revised)
        return Reach(since, Spans.of_minutes(_all(self._received)), times, minutes)


@dataclass(frozen=True)
class Reach:
    """Which rows of each table of silver are read.

    Args:
        since: from when on.
        received: minutes in which the frames that came were received.
        times: minutes of which the rows tell that they must have become, by kind.
        minutes: whose bars are computed again.
    """

    since: Since
    received: Spans
    times: Mapping[Kind, Spans]
    minutes: Spans

    def of(self, kind: Kind) -> AnyOf | None:
        """Rows that frames that came may have led to, rows beside them that may share their keys, whole minutes.

        None for gaps, of which there are few, and of which each may be told of by any trade.
        """
        if kind is GAPS:
            return None
        times = self.times[kind].widened(_SECOND_US, _SECOND_US)
        spans = times | self.minutes if kind in (TRADES, CANDLES) else times
        return [*spans.where(kind.time), *self.received.where("received_at")]

    @property
    def windows(self) -> Spans:
        """The five minutes over those minutes."""
        return self.minutes.whole(_FIVE_MINUTES_US)

    @property
    def trends(self) -> Spans:
        """The minutes whose trends look back on those minutes."""
        return self.minutes.widened(0, MINUTES_BEFORE * MINUTE_US)

    def bars(self) -> AnyOf:
        """The bars of all that."""
        seen = self.minutes.widened(MINUTES_BEFORE * MINUTE_US, MINUTES_BEFORE * MINUTE_US)
        return (seen | self.windows).where("minute")


def _minutes(times: Any) -> Ints:
    numbers = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.unique(np.asarray(numbers, dtype=np.int64) // MINUTE_US)


def _all(pieces: list[Ints]) -> Ints:
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *pieces]))
