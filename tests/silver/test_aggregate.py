"""Event traces against real Delta tables: late, repeated, out-of-order and crashed work ends with the right tables."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import bars_oracle as oracle
import pyarrow as pa
import pytest
from bars_oracle import MINUTE, T0
from crash_points import ALL_CRASHES, SEED, drawn_points
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from ways import rows_of

from lakehouse.home import lake_folder
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from lakehouse.table import Table
from silver import settle as settle_module
from silver.aggregate import Aggregate
from silver.bars import VALUES
from silver.closing import BarKey
from silver.settle import settle, settle_windows, spans
from silver.tables import CANDLES, FIVE_MINUTE_BARS, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS, TRADES
from silver.trends import TREND_VALUES

WRITTEN = (ONE_MINUTE_BARS, FIVE_MINUTE_BARS, SIX_MINUTE_TRENDS)
BARS, WINDOWS, TRENDS = (table.name for table in WRITTEN)
Key = tuple[str, str, datetime]
Rows = dict[tuple[str, str, int], dict[str, Any]]


class World:
    """A lake whose silver.trades and silver.candles the test writes, and the step beneath them."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.now_s = 0.0
        self.trades: dict[tuple[str, str, int], oracle.Trade] = {}
        self.aggregate = self.started()

    def started(self) -> Aggregate:
        """The step as a process that has just begun has it."""
        return Aggregate(Lake(self.lake.spark, self.lake.settings), lambda: self.now_s)

    def restart(self) -> int:
        self.aggregate = self.started()
        return self.aggregate.drain()

    def append(self, trades: Iterable[oracle.Trade]) -> tuple[pa.Table, int]:
        """Write those trades that are new, as refine does; return all of them and the version."""
        trades = list(trades)
        by_key = {(t.venue, t.symbol, t.trade_id or 0): t for t in trades}
        new = {key: t for key, t in by_key.items() if key not in self.trades}
        self.trades |= new
        if new:
            self.lake.append_rows(TRADES, rows_of(TRADES, map(_row, new.values())))
        return rows_of(TRADES, map(_row, trades)), self.lake.version(TRADES)

    def batch(self, *trades: oracle.Trade) -> list[BarKey]:
        return self.aggregate.run(*self.append(trades))

    def candles(self, *rows: tuple[int, str, int] | tuple[int, str, int, str]) -> list[BarKey]:
        """Candles as (minute, price, trade_count, amount where it is not that of 3 units) of A-USDT."""
        candles = rows_of(CANDLES, (_candle(*row) for row in rows))
        self.lake.append_rows(CANDLES, candles)
        return self.aggregate.run_candles(candles, self.lake.version(CANDLES))

    def bars(self) -> dict[Key, dict[str, Any]]:
        return self._rows(ONE_MINUTE_BARS, VALUES)

    def windows(self) -> dict[Key, dict[str, Any]]:
        return self._rows(FIVE_MINUTE_BARS, VALUES)

    def trends(self) -> dict[Key, dict[str, Any]]:
        return self._rows(SIX_MINUTE_TRENDS, TREND_VALUES)

    def rows(self) -> Rows:
        """Every row of every table that the step writes, read by delta-rs: table, symbol, minutes since T0."""
        return {
            (table.name, row["symbol"][0], (row[table.key[-1]] - T0) // MINUTE): row
            for table in WRITTEN
            for row in self._read(table)
        }

    def versions(self) -> tuple[int, int]:
        return self.lake.version(ONE_MINUTE_BARS), self.lake.version(SIX_MINUTE_TRENDS)

    def mark(self) -> int | None:
        app_id = self.lake.app_id(SIX_MINUTE_TRENDS, "aggregate", TRADES)
        return Lake(self.lake.spark, self.lake.settings).mark(SIX_MINUTE_TRENDS, app_id)

    def assert_right(self) -> None:
        bars = oracle.bars(self.trades.values())
        assert self.bars() == bars
        assert self.windows() == oracle.five_minute_bars(bars)
        assert self.trends() == oracle.trends({key: bar["average_price"] for key, bar in bars.items()})

    def _rows(self, table: Any, values: tuple[str, ...]) -> dict[Key, dict[str, Any]]:
        rows = self._read(table)
        found = {(r["venue"], r["symbol"], r[table.key[-1]]): {v: r[v] for v in values} for r in rows}
        assert len(found) == len(rows), "a key is there twice"
        return found

    def _read(self, table: Table) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = DeltaTable(str(self.lake.path(table))).to_pyarrow_table().to_pylist()
        return rows


@pytest.fixture(scope="module")
def empty(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of empty tables, to be copied: making tables takes seconds."""
    lake = Lake(spark, load_settings(home=tmp_path_factory.mktemp("empty")))
    lake.create(TRADES, CANDLES, ONE_MINUTE_BARS, FIVE_MINUTE_BARS, SIX_MINUTE_TRENDS)
    return lake_folder(lake.settings)


@pytest.fixture
def new_world(empty: Path, spark: SparkSession, tmp_path: Path) -> Callable[[str], World]:
    def make(name: str) -> World:
        settings = load_settings(home=tmp_path / name)
        shutil.copytree(empty, lake_folder(settings))
        return World(Lake(spark, settings))

    return make


@pytest.fixture(params=[True, False], ids=["in folders", "as in a catalog"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made past Spark, and once more by it."""
    monkeypatch.setattr(Lake, "in_folders", request.param)


@pytest.fixture
def world(new_world: Callable[[str], World]) -> World:
    return new_world("home")


def trade(
    trade_id: int, minute: float, price: str = "10", symbol: str = "A-USDT", venue: str = "binance"
) -> oracle.Trade:
    time = T0 + minute * MINUTE
    return oracle.Trade(venue, symbol, trade_id, "buy", Decimal(price), Decimal(2), time, "s", trade_id, 0)


def _row(trade: oracle.Trade) -> dict[str, Any]:
    heard = {"received_at": trade.event_time, "topic": f"{trade.venue}.trade", "partition": 0}
    return vars(trade) | heard | {"trade_key": str(trade.trade_id)}


def _candle(minute: int, price: str, trade_count: int, amount: str | None = None) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), Decimal(price))
    row |= {"venue": "binance", "symbol": "A-USDT", "minute": T0 + minute * MINUTE, "trade_count": trade_count}
    row |= {"volume": Decimal(3), "buy_volume": Decimal(1), "amount": Decimal(amount or 3 * Decimal(price))}
    return row


def keys(symbol: str, *minutes: int) -> list[BarKey]:
    start_us = round(T0.timestamp()) * 1_000_000
    return [BarKey("binance", f"{symbol}-USDT", start_us + minute * 60_000_000) for minute in minutes]


DAY, WEEK = 24 * 60, 7 * 24 * 60  # minutes


def test_late_trades_change_their_minutes_their_five_minutes_and_the_trends_that_look_back_on_them(
    world: World,
) -> None:
    # Ten minutes a week ago, a day ago and now, the third of each without a trade of A; the last one not closed yet.
    first = [
        trade(since + i, i - since, f"{10 + i % 4}", symbol)
        for since in (WEEK, DAY, 0)
        for i in range(10)
        for symbol in ("A-USDT", "B-USDT")
        if (i, symbol) != (2, "A-USDT")
    ]
    world.batch(*first, trade(99_999, 10.1))
    before, versions = world.rows(), world.versions()
    assert versions == (1, 1)
    late = [trade(99_998, 9.99, "7"), trade(99_997, 4.1 - DAY, "8"), trade(99_996, 2 - WEEK, "9")]
    assert set(world.batch(*late, trade(99_995, 10.2))) == {*keys("A", 9), *keys("A", 4 - DAY), *keys("A", 2 - WEEK)}
    after = world.rows()
    assert {key for key, row in after.items() if row != before.get(key)} == {
        *((BARS, "A", minute) for minute in (9, 4 - DAY, 2 - WEEK)),
        *((WINDOWS, "A", start) for start in (5, 0 - DAY, 0 - WEEK)),
        *((TRENDS, "A", minute - DAY) for minute in range(4, 10)),
        *((TRENDS, "A", minute - WEEK) for minute in range(2, 8)),
        (TRENDS, "A", 9),
    }
    assert before.keys() | {(BARS, "A", 2 - WEEK), (TRENDS, "A", 2 - WEEK)} == after.keys()
    assert all((row["revised_at"] is not None) == (row != before.get(key, row)) for key, row in after.items())
    assert world.versions() == (2, 2)
    world.now_s += 30
    assert world.batch(*late, *first) == []  # resent: touched again, nothing to change
    assert world.versions() == (2, 2)
    assert world.rows() == after
    world.aggregate.close_all()
    world.assert_right()


def test_corrections_wait_for_their_time_and_hold_the_mark(world: World) -> None:
    world.batch(trade(1, 0), trade(2, 5.2))
    assert world.mark() is None  # minute 5 waits since version 1
    assert world.batch(trade(3, 0.5, "11")) == keys("A", 0)
    world.now_s += 29
    assert world.batch(trade(4, 0.6, "12"), trade(5, 6.5)) == keys("A", 5)
    assert world.mark() == 2  # version 3 holds the correction
    assert [world.rows()[table, "A", 0]["trade_count"] for table in (BARS, WINDOWS)] == [2, 2]
    assert world.lake.version(FIVE_MINUTE_BARS) == 2  # the window of minute 5 is not closed
    world.now_s += 1
    assert world.aggregate.on_timer(T0.timestamp(), backlog=True) == keys("A", 0)
    assert [world.rows()[table, "A", 0]["trade_count"] for table in (BARS, WINDOWS)] == [3, 3]
    world.aggregate.close_all()
    assert world.mark() == 3
    world.assert_right()


def test_a_trends_write_whose_mark_does_not_rise_is_made_all_the_same(world: World) -> None:
    world.batch(trade(1, 0.5), trade(2, 1.5))
    world.batch(trade(3, 2.5))
    assert world.mark() == 1
    world.batch(trade(1, 0.5, venue="quiet"))  # version 3 waits from here on
    for i in range(3, 6):
        world.batch(trade(1 + i, i + 0.5))
        assert world.mark() == 2
    assert sorted((key[2] - T0) // MINUTE for key in world.trends()) == [0, 1, 2, 3, 4]
    world.aggregate.close_all()
    assert world.mark() == 6
    world.assert_right()


def test_a_quiet_venue_is_closed_by_the_timer_unless_records_wait(world: World) -> None:
    world.batch(trade(1, 0.5))
    wall = (T0 + MINUTE + timedelta(seconds=5)).timestamp()
    world.now_s = 5
    assert world.aggregate.on_timer(wall, backlog=True) == []
    assert world.aggregate.on_timer(wall - 1, backlog=False) == []
    assert world.aggregate.on_timer(wall, backlog=False) == keys("A", 0)
    assert (world.mark(), world.versions()) == (1, (1, 1))
    assert world.aggregate.on_timer(wall + 239, backlog=False) == []
    assert world.windows() == {}
    assert world.aggregate.on_timer(wall + 240, backlog=False) == []  # the other four minutes have no trade
    assert world.versions() == (1, 1)
    assert world.lake.version(FIVE_MINUTE_BARS) == 1
    world.assert_right()


CRASHES = ["after_bars_commit", "after_trends_commit", "after_five_minute_bars_commit"]


@pytest.mark.experiment(
    14,
    fault="a crash between any two writes of aggregate, with late trades about",
    holds="I5 I6: bars, five minutes and trends equal the oracle after the drain",
)
@pytest.mark.parametrize("number", range(len(CRASHES) if ALL_CRASHES else 1))
def test_a_crash_between_two_writes_leaves_the_right_tables_after_the_drain(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    point = drawn_points(CRASHES, 1)[number]
    world.batch(*[trade(i, i, f"{10 + i}") for i in range(4)])
    frame, version = world.append([trade(9, 1.5, "21"), trade(10, 4.1), trade(11, 5.1)])
    _die_at(monkeypatch, point)
    with pytest.raises(InterruptedError, match=point):
        world.aggregate.run(frame, version)
    monkeypatch.undo()
    assert world.restart() == 1 + (point == "after_bars_commit")
    drained = world.rows()
    assert drained[WINDOWS, "A", 0]["trade_count"] == 6
    assert drained[WINDOWS, "A", 0]["revised_at"] is None  # written once, when all of it was there
    assert world.aggregate.run(frame, version) == []  # the stream brings the batch again
    assert world.rows() == drained
    world.aggregate.close_all()
    world.assert_right()
    assert world.mark() == version


def _die_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    def die(name: str) -> None:
        if name == point:
            raise InterruptedError(name)

    monkeypatch.setattr(settle_module, "fault_point", die)


def test_the_drain_finds_the_minutes_that_waited_and_versions_nobody_brought(world: World) -> None:
    world.batch(trade(9, -3), trade(1, 0.1), trade(2, 0.1, venue="other"))
    assert world.lake.version(FIVE_MINUTE_BARS) == 1  # of minute -3, and with the mark
    world.append([trade(3, 0.2)])  # a crash before the step saw it
    assert world.restart() == 2
    world.append([trade(4, 0.3)])  # as if another writer had been here
    assert world.batch(trade(5, 1.3)) == keys("A", 0)
    assert world.bars()["binance", "A-USDT", T0]["trade_count"] == 3
    world.batch(trade(6, -3, venue="other"))  # late: its five minutes are written, while those of minute 0 wait
    assert world.lake.version(FIVE_MINUTE_BARS) == 2
    world.restart()
    world.aggregate.close_all()
    assert world.restart() == 0
    assert world.lake.version(FIVE_MINUTE_BARS) == 3
    world.assert_right()


def _trades_first(world: World) -> None:
    _hear(world)
    _ask(world)


def _candles_first(world: World) -> None:
    _ask(world)
    _hear(world)


def _hear(world: World) -> None:
    counts = {0: 3, 1: 4, 3: 2, 4: 1}
    world.batch(*[trade(10 * m + i, m + i / 10, f"{10 + m + i}") for m, n in counts.items() for i in range(n)])
    world.aggregate.close_all()


def _ask(world: World) -> None:
    world.candles((0, "50", 4), (1, "51", 4), (2, "52", 4))


def test_trades_and_candles_give_the_same_tables_whichever_comes_first(
    world: World, new_world: Callable[[str], World]
) -> None:
    other = new_world("other")
    _trades_first(world)
    _candles_first(other)
    origins = {(key[2] - T0) // MINUTE: bar["origin"] for key, bar in world.bars().items()}
    assert origins == {0: "klines", 1: "trades", 2: "klines", 3: "trades", 4: "trades"}
    # Minute 0 had a trend while only its trades were known, and later minutes looked back on it.
    assert sorted((key[2] - T0) // MINUTE for key in world.trends()) == [1, 3, 4]
    assert world.trends() == oracle.trends(
        {key: bar["average_price"] for key, bar in world.bars().items() if bar["average_price"] is not None}
    )
    assert world.bars() == other.bars()
    assert world.trends() == other.trends()
    world.aggregate.on_timer(0, backlog=False)
    other.aggregate.on_timer(0, backlog=False)
    assert world.windows() == oracle.five_minute_bars(world.bars()) == other.windows()
    assert other.restart() == 0  # the mark on candles has been carried along


def test_of_trades_and_candles_spark_makes_the_same_tables(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lake, "in_folders", False)
    _candles_first(world)
    by_spark = world.bars(), world.trends()
    monkeypatch.undo()
    assert {bar["origin"] for bar in by_spark[0].values()} == {"klines", "trades"}
    assert settle(world.lake, keys("A", 0, 1, 2, 3, 4)) == []
    assert (world.bars(), world.trends()) == by_spark


def test_a_trend_goes_when_a_candle_takes_its_only_bar(world: World) -> None:
    world.batch(trade(1, 0.5))
    world.aggregate.close_all()
    assert len(world.trends()) == 1
    world.candles((0, "50", 4))
    assert {bar["origin"] for bar in world.bars().values()} == {"klines"}
    assert world.trends() == {}


@pytest.mark.usefixtures("either_way")
def test_any_order_of_trades_ends_with_the_same_tables(world: World) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    rng = random.Random(SEED)  # noqa: S311
    prices = [f"{rng.randrange(1, 10**6)}.{rng.randrange(10**12):012d}" for _ in range(150)]
    trades = [trade(i, i / 10, prices[i], f"{rng.choice('ABC')}-USDT") for i in range(150)]
    trades.sort(key=lambda t: (t.trade_id or 0) + (rng.random() < 0.2) * rng.uniform(-60, 60))
    for i in range(0, 150, 30):
        world.batch(*trades[i : i + 30], *rng.sample(trades[: i + 30], 5))
        world.now_s += rng.choice([1, 31])
        if rng.random() < 0.3:
            world.restart()
    world.aggregate.close_all()
    world.assert_right()


def test_windows_of_candles_are_written_with_them_once_they_are_over(world: World) -> None:
    world.candles(*((minute, "50", int(minute != 9)) for minute in range(12)))
    windows = world.windows()
    assert windows == oracle.five_minute_bars({k: b for k, b in world.bars().items() if k[2] < T0 + 10 * MINUTE})
    assert [bar["trade_count"] for bar in windows.values()] == [5, 4]
    assert world.lake.version(FIVE_MINUTE_BARS) == 1
    world.candles(*((minute, "51", 1) for minute in range(12, 20)))
    assert world.windows() == oracle.five_minute_bars(world.bars())
    assert all(row["revised_at"] is None for row in world.rows().values())


def test_a_sum_that_no_engine_holds_is_null_and_ends_nothing(world: World) -> None:
    most = "999999999999999999"
    world.candles((0, "50", 4, most), (4, "50", 4, most))
    (window,) = world.windows().values()
    assert (window["volume"], window["amount"], window["vwap"]) == (6, None, None)


def test_settling_what_is_settled_writes_nothing(world: World) -> None:
    world.batch(trade(1, 0), trade(2, 1), trade(3, 8))
    world.aggregate.close_all()
    before = world.rows()
    assert settle(world.lake, keys("A", 0, 1, 2, 8)) == []
    assert settle_windows(world.lake, keys("A", 0, 5)) == []
    assert world.rows() == before
    # The lake of an earlier version has no five-minute bars.
    shutil.rmtree(world.lake.path(FIVE_MINUTE_BARS))
    world.lake.create(FIVE_MINUTE_BARS)
    world.restart()
    assert len(world.windows()) == 1  # nobody has seen the second one closed
    world.aggregate.close_all()
    assert world.rows() == before


@pytest.mark.parametrize(
    ("minutes", "limit", "found"),
    [
        ([0], 3, [(0, 1)]),
        ([0, 1, 2, 9], 3, [(0, 3), (9, 10)]),
        ([0, 2, 9, 30], 2, [(0, 10), (30, 31)]),
        ([0, 2, 9, 30], 1, [(0, 31)]),
        ([5, 3, 4], 1, [(3, 6)]),
    ],
)
def test_spans_cover_the_minutes_with_few_ranges(minutes: list[int], limit: int, found: list[tuple[int, int]]) -> None:
    us: Callable[[int], int] = lambda minute: minute * 60_000_000  # noqa: E731
    assert spans({us(minute) for minute in minutes}, limit) == [(us(a), us(b)) for a, b in found]
