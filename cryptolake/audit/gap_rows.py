"""Whether every row of silver.gaps explains itself: what it is about, what became of it, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.spans import time_of

_TIMES = ("from_time", "to_time", "detected_at", "closed_at")
COLUMNS = {
    **{name: pa.string() for name in ("venue", "symbol", "status", "reason", "topic_id")},
    **{name: pa.int64() for name in ("from_id", "to_id")},
    **dict.fromkeys(_TIMES, pa.timestamp("us")),
}
_STATUSES = ("open", "closed", "unrecoverable")


class _Gap(NamedTuple):
    venue: str
    symbol: str
    status: str
    reason: str | None
    topic_id: str | None
    from_id: int | None
    to_id: int | None
    from_us: int | None
    to_us: int | None
    detected_us: int | None
    closed_us: int | None


class GapRowsCheck:
    """Looks at the rows one by one; those that are open are told by their age.

    Args:
        pinned_us: when the tables were pinned (UTC, us).
        horizon_us: an open row younger than this is being filled.
        most_ids: an open row of more ids is never asked for.
        since_us: older rows, unless they were closed since, are only told when they are open.
        examples: failures shown.
    """

    def __init__(self, pinned_us: int, horizon_us: int, most_ids: int, since_us: int, examples: int) -> None:
        self._pinned_us = pinned_us
        self._horizon_us = horizon_us
        self._most_ids = most_ids
        self._since_us = since_us
        self._oldest_us = pinned_us
        self._tally = Tally(
            "silver.gaps explained",
            "every row says what is missing, what became of it, when and why; open ones are told by age",
            examples,
        )

    def add(self, batch: Any) -> None:
        """Look at rows."""
        columns = [batch.column(name) for name in COLUMNS]
        texts = [c.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(c.type) else c.to_pylist() for c in columns]
        for gap in map(_Gap._make, zip(*texts, strict=True)):
            if max(gap.detected_us or 0, gap.closed_us or 0) >= self._since_us:
                self._tally.count(1)
                if why := _flaw(gap):
                    self._tally.fail(1, [f"{_text(gap)}: {why}"])
            if gap.status == "open":
                self._note_open(gap)

    def result(self) -> CheckResult:
        """Close the check."""
        oldest = f"the oldest open one since {time_of(self._oldest_us).isoformat(timespec='seconds')}"
        return self._tally.result(oldest if self._oldest_us < self._pinned_us else "")

    def _note_open(self, gap: _Gap) -> None:
        found_us = gap.detected_us or 0
        self._oldest_us = min(self._oldest_us, found_us)
        if gap.from_id is not None and gap.to_id is not None and gap.to_id - gap.from_id >= self._most_ids:
            self._tally.note("open, of more ids than are asked for", 1)
        elif self._pinned_us - found_us < self._horizon_us:
            self._tally.note("open, found lately", 1)
        else:
            minutes = self._horizon_us / 60_000_000
            self._tally.note(f"open for more than {minutes:g} min: does `cryptolake backfill` run?", 1)


def _flaw(gap: _Gap) -> str | None:
    if gap.status not in _STATUSES:
        return f"{gap.status} is no status"
    if not (gap.reason or "").strip():
        return f"{gap.status} without a reason"
    spans = [(gap.from_id, gap.to_id), (gap.from_us, gap.to_us)]
    if not any(first is not None and last is not None for first, last in spans):
        return "neither ids nor times"
    if any(first is not None and last is not None and first > last for first, last in spans):
        return "ends before it begins"
    if gap.from_id is None and gap.topic_id is None:
        return "times that no frame tells of"
    if gap.detected_us is None:
        return "nothing says when it was found"
    if (gap.status == "closed") != (gap.closed_us is not None):
        return f"{gap.status}, and closed_at is {'empty' if gap.closed_us is None else 'set'}"
    return "closed before it was found" if gap.closed_us is not None and gap.closed_us < gap.detected_us else None


def _text(gap: _Gap) -> str:
    if gap.from_id is not None:
        return f"{gap.venue} {gap.symbol} {gap.from_id} to {gap.to_id}"
    start = "an unknown time" if gap.from_us is None else time_of(gap.from_us).isoformat()
    return f"{gap.venue} {gap.symbol} from {start}"
