"""Event traces: what happens at which time, and which minutes close by it."""

from __future__ import annotations

from dataclasses import dataclass, field

from silver.closing import FIVE_MINUTES_US, MINUTE_US, BarKey, Channel, Closing

T0_US = 1_700_000_040_000_000  # the start of a minute
SECOND_US = 1_000_000


def minute(i: int, symbol: str = "BTC-USDT", venue: str = "binance") -> BarKey:
    return BarKey(venue, symbol, T0_US + i * MINUTE_US)


@dataclass
class Trace:
    """One venue seen as a user sees it: trades at (minute, second) of a partition, at monotonic times."""

    closing: Closing = field(default_factory=lambda: Closing(lateness_s=5, correction_interval_s=30))
    version: int = 0

    def batch(self, now_s: float, *trades: tuple[float, int], venue: str = "binance") -> list[tuple[int, str]]:
        """Trades as (seconds since T0, partition); settle what closes, and return it as (minute, kind)."""
        self.version += 1
        keys, marks = {}, {}
        for second, partition in trades:
            key = minute(int(second // 60), f"P{partition}", venue)
            channel = Channel(venue, f"{venue}.trade", partition)
            keys[key] = self.version
            marks[channel] = max(marks.get(channel, 0), T0_US + round(second * SECOND_US))
        self.closing.observe(keys, marks, now_s)
        return self._settle(self.closing.due(now_s), now_s)

    def timer(self, now_s: float, wall_s: float) -> list[tuple[int, str]]:
        return self._settle(self.closing.due_quiet(now_s, T0_US + round(wall_s * SECOND_US)), now_s)

    def _settle(self, keys: list[BarKey], now_s: float) -> list[tuple[int, str]]:
        self.closing.settled(keys, now_s)
        return [((key.minute_us - T0_US) // MINUTE_US, key.symbol) for key in keys]


def test_a_minute_closes_when_the_mark_is_the_lateness_beyond_its_end() -> None:
    trace = Trace()
    assert trace.batch(0, (3, 0)) == []
    assert trace.batch(57, (59.9, 0)) == []
    assert trace.batch(62, (64.999999, 0)) == []
    assert trace.batch(62.1, (65, 0)) == [(0, "P0")]
    assert trace.batch(122, (125, 0)) == [(1, "P0")]


def test_the_slowest_partition_holds_minutes_open() -> None:
    trace = Trace()
    assert trace.batch(0, (3, 0), (4, 1)) == []
    assert trace.batch(1, (70, 0)) == []
    assert trace.batch(2, (70, 0), (64, 1)) == []
    assert trace.batch(3, (66, 1)) == [(0, "P0"), (0, "P1")]


def test_an_idle_partition_holds_nothing_open_once_others_went_on_without_it() -> None:
    trace = Trace()
    assert trace.batch(0, (3, 0), (4, 1)) == []
    assert trace.batch(10, (70, 0)) == []  # a slow batch: the first without partition 1
    assert trace.batch(14.9, (71, 0)) == []
    assert trace.batch(15, (72, 0)) == [(0, "P0"), (0, "P1")]


def test_an_idle_partition_that_returns_is_waited_for_again() -> None:
    trace = Trace()
    trace.batch(0, (3, 0), (4, 1))
    trace.batch(1, (30, 0))
    assert trace.batch(6, (66, 0)) == [(0, "P0"), (0, "P1")]
    assert trace.batch(7, (126, 0), (69, 1)) == []
    assert trace.batch(8, (127, 0), (126, 1)) == [(1, "P0"), (1, "P1")]


def test_a_late_trade_of_a_closed_minute_is_a_correction_and_corrections_come_together() -> None:
    trace = Trace()
    trace.batch(0, (3, 0))
    assert trace.batch(66, (66, 0)) == [(0, "P0")]
    assert trace.batch(67, (10, 0), (67, 0)) == [(0, "P0")]  # none before it: at once
    assert trace.batch(68, (11, 0), (68, 0)) == []
    assert trace.batch(80, (-30, 0), (80, 0)) == []  # a minute never seen, long closed: the same
    assert trace.batch(96.9, (97, 0)) == []
    assert trace.batch(97, (97, 0)) == [(-1, "P0"), (0, "P0")]
    assert trace.batch(98, (98, 0)) == []


def test_a_quiet_venue_is_closed_by_the_wall_clock() -> None:
    trace = Trace()
    trace.batch(0, (3, 0))
    assert trace.timer(4.9, 70) == []  # not quiet for long enough
    assert trace.timer(5, 64.9) == []  # the minute ended less than the lateness ago
    assert trace.timer(5, 65) == [(0, "P0")]
    assert trace.timer(6, 66) == []
    assert trace.batch(7, (59, 0)) == [(0, "P0")]  # now it is a correction


def test_another_venue_neither_closes_a_venue_nor_wakes_it() -> None:
    trace = Trace()
    trace.batch(0, (3, 0))
    assert trace.batch(4, (200, 0), venue="bybit-spot") == []
    assert trace.timer(5, 65) == [(0, "P0")]


def test_a_trade_behind_a_quiet_close_but_in_a_later_minute_waits_like_any_other() -> None:
    trace = Trace()
    trace.batch(0, (3, 0))
    trace.timer(5, 10_000)  # a tape of the past: the wall clock is hours ahead
    assert trace.batch(6, (61, 0)) == []
    assert trace.batch(7, (125, 0)) == [(1, "P0")]


def test_what_is_consumed_stops_before_the_first_version_that_waits() -> None:
    closing = Closing(lateness_s=5, correction_interval_s=30)
    channel = Channel("binance", "binance.trade", 0)
    assert closing.consumed(7) == 7
    closing.observe({minute(0): 8}, {channel: T0_US}, 0)
    closing.observe({minute(0): 9, minute(1): 9}, {channel: T0_US + 66 * SECOND_US}, 1)
    assert closing.consumed(9) == 7
    assert closing.due(1) == [minute(0)]
    assert closing.consumed(9, without=[minute(0)]) == 8
    closing.settled([minute(0)], 1)
    closing.observe({minute(0): 10}, {channel: T0_US + 67 * SECOND_US}, 2)
    assert closing.due(2) == [minute(0)]
    closing.settled([minute(0)], 2)
    closing.observe({minute(0): 11}, {channel: T0_US + 68 * SECOND_US}, 3)
    assert closing.due(3) == []
    assert closing.waiting() == [minute(0), minute(1)]
    assert closing.consumed(11) == 8
    closing.settled([minute(1)], 3)
    assert closing.consumed(11) == 10


def test_five_minutes_close_as_a_minute_does() -> None:
    assert [minute(i).five_minutes for i in (1, 5)] == [minute(1), minute(1)]  # T0 is the last minute of five
    windows = Closing(lateness_s=5, correction_interval_s=30, length_us=FIVE_MINUTES_US)
    channel = Channel("binance", "binance.trade", 0)
    windows.observe({minute(1): 1}, {channel: T0_US + 6 * MINUTE_US + 5 * SECOND_US - 1}, 0)
    assert windows.due(0) == []
    windows.observe({}, {channel: T0_US + 6 * MINUTE_US + 5 * SECOND_US}, 1)
    assert windows.due(1) == [minute(1)]


def test_what_a_restart_finds_waits_for_its_venue_from_then_on() -> None:
    closing = Closing(lateness_s=5, correction_interval_s=30)
    closing.observe({minute(0): 3}, {}, 100)
    assert closing.due(1_000) == []
    assert closing.due_quiet(104.9, T0_US + 65 * SECOND_US) == []
    assert closing.due_quiet(105, T0_US + 65 * SECOND_US) == [minute(0)]


def test_what_is_known_to_be_closed_is_due_whatever_the_mark_says() -> None:
    closing = Closing(lateness_s=5, correction_interval_s=30)
    closing.observe({minute(0): 1, minute(1): 1}, {Channel("binance", "binance.trade", 0): T0_US}, 0)
    closing.closed_until("binance", T0_US + MINUTE_US)
    assert closing.due(0) == [minute(0)]
    closing.closed_until("binance", T0_US)  # never back
    assert closing.due(0) == [minute(0)]


def test_a_round_of_corrections_ends_with_its_last() -> None:
    closing = Closing(lateness_s=5, correction_interval_s=30)
    closing.closed_until("binance", T0_US + 9 * MINUTE_US)
    closing.observe({minute(0): 1, minute(1): 1}, {}, 0)
    closing.settled([minute(0)], 1)  # written on its own, as with a candle
    assert closing.due(2) == [minute(1)]
    closing.settled([minute(1)], 2)
    closing.observe({minute(0): 2}, {}, 3)
    assert closing.due(31.9) == []
    assert closing.due(32) == [minute(0)]
