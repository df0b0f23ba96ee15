"""Which five-minute bars wait and when they are written: they follow the one-minute bars, by a mark of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lakehouse.arrow import in_micros
from lakehouse.lake import COMMIT_VERSION, Lake
from silver.closing import FIVE_MINUTES_US, MINUTE_US, BarKey, Channel, Closing
from silver.settle import settle_windows
from silver.tables import FIVE_MINUTE_BARS, ONE_MINUTE_BARS

_LAST_MINUTE_US = FIVE_MINUTES_US - MINUTE_US


class Windows:
    """Keeps silver.five_minute_bars equal to what silver.one_minute_bars says about closed windows.

    A window waits from its first settled minute until it closes, as a minute does, by the venue's mark or by the
    timer; a minute that changes after that makes it a correction. What waits is held in memory and can be lost: the
    mark on silver.five_minute_bars never passes a version of the bars of which a window waits, so `drain` finds it
    again. Without a mark, as in a lake that is older than the table, `drain` finds the windows of all bars.

    Args:
        lake: the lake this process owns; its session may be changed between calls.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        limits = lake.settings.lake
        self._closing = Closing(limits.lateness_s, limits.correction_interval_s, FIVE_MINUTES_US)
        self._app_id = lake.app_id(FIVE_MINUTE_BARS, "aggregate", ONE_MINUTE_BARS)
        # The version of the bars whose windows are known here; None before the drain.
        self._seen: int | None = None

    def drain(self, now_s: float) -> None:
        """Find the windows of all bars above the mark; once, since what is written later comes by `take`.

        Args:
            now_s: the monotonic clock, here and below.
        """
        if self._seen is not None:
            return
        mark, self._seen = self._lake.mark(FIVE_MINUTE_BARS, self._app_id), self._lake.version(ONE_MINUTE_BARS)
        if self._seen > (mark or 0) and not self._lake.unchanged(ONE_MINUTE_BARS, mark or 0, self._seen):
            self._find(mark, self._seen, now_s)

    def take(self, minutes: Collection[BarKey], now_s: float) -> None:
        """Take in minutes whose bar has just been written, new or changed."""
        if not minutes:
            return
        if self._seen is None:
            self.drain(now_s)
            return
        first, self._seen = self._seen + 1, self._lake.version(ONE_MINUTE_BARS)
        self._closing.observe({minute.five_minutes: first for minute in minutes}, {}, now_s)

    def hear(self, marks_us: Mapping[Channel, int], now_s: float) -> None:
        """Take in how far the venues' partitions have come, after the minutes that this closes."""
        self._closing.observe({}, marks_us, now_s)

    def settle_due(self, now_s: float) -> None:
        """Write what is closed by its venue's mark, and corrections when it is their time."""
        self._settle(self._closing.due(now_s), now_s)

    def settle_quiet(self, now_s: float, wall_us: int) -> None:
        """Write also what is closed by the wall clock, in microseconds UTC; only when nothing waits in Kafka."""
        self._settle(self._closing.due_quiet(now_s, wall_us), now_s)
        if not self._closing.waiting():
            self._advance_mark()

    def settle_candles(self, minutes: Collection[BarKey], now_s: float) -> None:
        """Write the windows of these candles at once; one without a candle of its last minute is not over."""
        over = {m.five_minutes for m in minutes if m.minute_us == m.five_minutes.minute_us + _LAST_MINUTE_US}
        self._settle([window for window in self._closing.waiting() if window in over], now_s)

    def settle_all(self, now_s: float) -> None:
        """Write every window that waits, whatever its clock says."""
        self.drain(now_s)
        self._settle(self._closing.waiting(), now_s)
        self._advance_mark()

    def _find(self, mark: int | None, version: int, now_s: float) -> None:
        if mark is None:
            found = self._lake.select(ONE_MINUTE_BARS, _query("1"))
        else:
            found = self._lake.select_changes(ONE_MINUTE_BARS, _query(COMMIT_VERSION), mark, version)
        windows: dict[BarKey, int] = {}
        ends_us: dict[str, int] = {}
        for row in in_micros(found, "minute", "minute").to_pylist():
            minute = BarKey(row["venue"], row["symbol"], row["minute"])
            first = row["first_version"]
            windows[minute.five_minutes] = min(first, windows.get(minute.five_minutes, first))
            ends_us[minute.venue] = max(minute.minute_us + MINUTE_US, ends_us.get(minute.venue, 0))
        self._closing.observe(windows, {}, now_s)
        for venue, end_us in ends_us.items():
            # That minute is closed, and with it whatever ended before it.
            self._closing.closed_until(venue, end_us)

    def _settle(self, windows: Sequence[BarKey], now_s: float) -> None:
        # A window reads five bars.
        size = max(1, self._lake.settings.lake.settle_keys // 5)
        for i in range(0, len(windows), size):
            chunk = windows[i : i + size]
            version = self._closing.consumed(self._seen or 0, without=chunk)
            settle_windows(self._lake, chunk, self._lake.rising(FIVE_MINUTE_BARS, self._app_id, version))
            self._closing.settled(chunk, now_s)

    def _advance_mark(self) -> None:
        self._lake.advance(FIVE_MINUTE_BARS, self._app_id, self._closing.consumed(self._seen or 0))


def _query(version: str) -> str:
    """The minutes among bars, with the first version that wrote each."""
    return f"SELECT venue, symbol, minute, min({version}) AS first_version FROM {{rows}} GROUP BY venue, symbol, minute"  # noqa: S608
