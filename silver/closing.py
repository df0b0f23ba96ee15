"""When a minute, or five, is closed: pure bookkeeping of the driver, without Spark, clocks passed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

MINUTE_US = 60_000_000
FIVE_MINUTES_US = 5 * MINUTE_US
_SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BarKey(NamedTuple):
    """The key of a bar; `minute_us` is the start of its first minute in microseconds UTC."""

    venue: str
    symbol: str
    minute_us: int

    @property
    def minute(self) -> datetime:
        """The start of its first minute, with its zone."""
        return _EPOCH + timedelta(microseconds=self.minute_us)

    @property
    def five_minutes(self) -> BarKey:
        """The key of the five-minute bar that this minute is in."""
        return self._replace(minute_us=self.minute_us - self.minute_us % FIVE_MINUTES_US)


class Channel(NamedTuple):
    """One partition of a topic, as far as one venue uses it."""

    venue: str
    topic: str
    partition: int


@dataclass
class _Reach:
    """How far a partition has come, and since when it brings nothing while others do."""

    mark_us: int
    absent_since_s: float | None = None


@dataclass
class Closing:
    """Which minutes wait, and which of them are closed.

    A minute closes when the venue's mark is `lateness_s` beyond its end; the mark is the least over the venue's
    partitions, those idle apart, of the greatest time each has shown. A partition is idle when it brought nothing for
    `lateness_s` while others of the venue did. A venue that brings nothing at all is closed by the wall clock. A minute
    touched after it was closed is a correction; corrections are due together, every `correction_interval_s`.

    Monotonic times are seconds of any origin; event times and wall clock are microseconds UTC.

    Args:
        lateness_s: how long after its end a minute waits for late trades.
        correction_interval_s: the least time between two rounds of corrections.
        length_us: how long the bars are, in microseconds: "minute" stands for that here.
    """

    lateness_s: float
    correction_interval_s: float
    length_us: int = MINUTE_US
    _pending: dict[BarKey, int] = field(default_factory=dict)
    _corrections: dict[BarKey, int] = field(default_factory=dict)
    _reached: dict[str, dict[Channel, _Reach]] = field(default_factory=dict)
    _closed_until_us: dict[str, int] = field(default_factory=dict)
    _heard_s: dict[str, float] = field(default_factory=dict)
    _corrected_s: float = float("-inf")

    def observe(self, touched: Mapping[BarKey, int], marks_us: Mapping[Channel, int], now_s: float) -> None:
        """Take in one batch.

        Args:
            touched: every minute of the batch, with the first version of the source that touches it; of a venue that
                has not been heard yet they wait for it from now on.
            marks_us: the greatest min(event time, received + skew) of every partition in the batch.
            now_s: the monotonic clock.
        """
        for key, version in touched.items():
            waiting = self._corrections if key not in self._pending and self._closed(key) else self._pending
            waiting[key] = min(version, waiting.get(key, version))
            self._heard_s.setdefault(key.venue, now_s)
        for venue in {channel.venue for channel in marks_us}:
            self._heard_s[venue] = now_s
            self._advance(venue, {c: mark for c, mark in marks_us.items() if c.venue == venue}, now_s)

    def due(self, now_s: float) -> list[BarKey]:
        """List what is to be settled now: minutes closed by their venue's mark, and corrections when it is their time.

        In order of time. They wait until `settled` says that they are in the tables.
        """
        closed = [key for key in self._pending if self._closed(key)]
        return in_order([*closed, *self._due_corrections(now_s)])

    def due_quiet(self, now_s: float, wall_us: int) -> list[BarKey]:
        """List what is to be settled now that nothing comes in: also minutes of quiet venues that ended long ago.

        To be called only when nothing waits in Kafka.
        """
        ended_us = wall_us - round(self.lateness_s * _SECOND_US)
        closed = [
            key
            for key in self._pending
            if self._end_us(key) <= ended_us and now_s - self._heard_s.get(key.venue, now_s) >= self.lateness_s
        ]
        return in_order({*closed, *self.due(now_s)})

    def waiting(self) -> list[BarKey]:
        """List all that is not settled, in order of time."""
        return in_order([*self._pending, *self._corrections])

    def settled(self, keys: Collection[BarKey], now_s: float) -> None:
        """Forget minutes that are in the tables; what touches them from now on is a correction."""
        corrected = [key for key in keys if self._corrections.pop(key, None) is not None]
        if corrected and not self._corrections:
            self._corrected_s = now_s
        for key in keys:
            if self._pending.pop(key, None) is not None:
                self.closed_until(key.venue, self._end_us(key))

    def closed_until(self, venue: str, until_us: int) -> None:
        """Take note that what ends by this time is closed, whatever the venue's mark says."""
        self._closed_until_us[venue] = max(until_us, self._closed_until_us.get(venue, until_us))

    def consumed(self, newest: int, without: Collection[BarKey] = ()) -> int:
        """The version up to which everything is in the tables once `without` is, if `newest` is the last one seen."""
        done = set(without)
        waiting = [
            version
            for versions in (self._pending, self._corrections)
            for key, version in versions.items()
            if key not in done
        ]
        return min([newest, *(version - 1 for version in waiting)])

    def _advance(self, venue: str, brought: Mapping[Channel, int], now_s: float) -> None:
        reached = self._reached.setdefault(venue, {})
        for channel, mark_us in brought.items():
            known = reached.get(channel)
            reached[channel] = _Reach(max(mark_us, known.mark_us) if known else mark_us)
        for channel, reach in reached.items():
            if channel not in brought and reach.absent_since_s is None:
                # Counted from the first batch without it: a slow batch is no sign that a partition is idle.
                reach.absent_since_s = now_s
        mark_us = min(reach.mark_us for reach in reached.values() if not self._idle(reach, now_s))
        self.closed_until(venue, mark_us - round(self.lateness_s * _SECOND_US))

    def _end_us(self, key: BarKey) -> int:
        return key.minute_us + self.length_us

    def _closed(self, key: BarKey) -> bool:
        return self._end_us(key) <= self._closed_until_us.get(key.venue, 0)

    def _idle(self, reach: _Reach, now_s: float) -> bool:
        return reach.absent_since_s is not None and now_s - reach.absent_since_s >= self.lateness_s

    def _due_corrections(self, now_s: float) -> Collection[BarKey]:
        return self._corrections if now_s - self._corrected_s >= self.correction_interval_s else ()


def in_order(keys: Collection[BarKey]) -> list[BarKey]:
    """Sort by time, then venue and symbol."""
    return sorted(keys, key=lambda key: (key.minute_us, key.venue, key.symbol))
