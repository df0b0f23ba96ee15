"""The simulated Binance's REST over real sockets: candles and trades that agree to the last digit, limits, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from simulator_process import SimulatorProcess

Start = Callable[..., SimulatorProcess]
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def binance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A market that began twenty minutes ago, ran fast through them with two symbols live, and shows the real time."""
    process = SimulatorProcess(
        tmp_path_factory.mktemp("binance"), {"rate": 400, "start_back_s": 1_200, "speed": 600, "seed": 3}
    ).start()
    socket = process.socket("/stream?streams=btcusdt@trade/ethbtc@trade")
    first: dict[str, Any] = {}
    while len(first) < 2:
        trade = json.loads(socket.recv())["data"]
        first.setdefault(trade["s"], trade)
    process.flags["first_live"] = first
    while not process.status()["live"]:
        socket.recv()
    socket.close()
    process.flags["now_ms"] = process.api("time")["serverTime"]
    yield process
    process.end()


def all_trades(process: SimulatorProcess, symbol: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Every trade of a time, by id, from the first aggregate of it."""
    first = process.api(f"aggTrades?symbol={symbol}&startTime={start_ms}&limit=1")[0]
    rows: list[dict[str, Any]] = []
    while True:
        page = process.api(
            f"historicalTrades?symbol={symbol}&fromId={rows[-1]['id'] + 1 if rows else first['f']}&limit=1000"
        )
        rows += [row for row in page if row["time"] < end_ms]
        if not page or page[-1]["time"] >= end_ms:
            return rows


def candle(open_ms: int, rows: list[dict[str, Any]], last_close: str) -> list[Any]:
    """The candle of a minute's trades, by Decimal."""

    def total(column: str, rows: list[dict[str, Any]]) -> str:
        return f"{sum((Decimal(row[column]) for row in rows), Decimal(0)):.8f}"

    prices = [Decimal(row["price"]) for row in rows] or [Decimal(last_close)]
    bought = [row for row in rows if not row["isBuyerMaker"]]
    return [
        open_ms,
        *(f"{price:.8f}" for price in (prices[0], max(prices), min(prices), prices[-1])),
        total("qty", rows),
        open_ms + MINUTE_MS - 1,
        total("quoteQty", rows),
        len(rows),
        total("qty", bought),
        total("quoteQty", bought),
        "0",
    ]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHBTC", "SHIBUSDT"])
def test_candles_are_those_of_the_historical_trades_before_and_after_the_symbol_went_live(
    binance: SimulatorProcess, symbol: str
) -> None:
    end_ms = binance.flags["now_ms"] // MINUTE_MS * MINUTE_MS
    start_ms = end_ms - 40 * MINUTE_MS
    rows = all_trades(binance, symbol, start_ms, end_ms)
    assert [row["id"] for row in rows] == list(range(rows[0]["id"], rows[0]["id"] + len(rows)))
    assert all(Decimal(row["price"]) * Decimal(row["qty"]) == Decimal(row["quoteQty"]) for row in rows)
    if symbol in binance.flags["first_live"]:
        live = binance.flags["first_live"][symbol]
        assert rows[0]["id"] < live["t"] <= rows[-1]["id"], "the time does not reach over the start of the stream"
        told = next(row for row in rows if row["id"] == live["t"])
        assert (told["price"], told["qty"], told["time"], told["isBuyerMaker"]) == tuple(live[k] for k in "pqTm")
    candles = binance.api(f"klines?symbol={symbol}&interval=1m&startTime={start_ms}&endTime={end_ms - 1}")
    assert len(candles) == 40
    close = candles[0][1]
    for place, told in enumerate(candles):
        open_ms = start_ms + place * MINUTE_MS
        assert told == candle(open_ms, [r for r in rows if 0 <= r["time"] - open_ms < MINUTE_MS], close)
        close = told[4]


def test_longer_candles_add_up_and_reach_as_far_back_as_asked(binance: SimulatorProcess) -> None:
    day_ms = 86_400_000
    start_ms = binance.flags["now_ms"] // day_ms * day_ms - 2 * day_ms
    window = f"startTime={start_ms}&endTime={start_ms + day_ms - 1}"
    (day,) = binance.api(f"klines?symbol=SOLUSDT&interval=1d&{window}")
    hours = binance.api(f"klines?symbol=SOLUSDT&interval=1h&{window}")
    assert len(hours) == 24
    assert day[8] == sum(hour[8] for hour in hours)
    assert Decimal(day[7]) == sum(Decimal(hour[7]) for hour in hours)
    assert (day[1], day[4]) == (hours[0][1], hours[-1][4])
    assert Decimal(day[2]) == max(Decimal(hour[2]) for hour in hours)


def test_without_times_the_newest_rows_come(binance: SimulatorProcess) -> None:
    candles = binance.api("klines?symbol=SOLUSDT&interval=1m&limit=3")
    assert candles[-1][0] <= binance.api("time")["serverTime"] < candles[-1][0] + 2 * MINUTE_MS
    assert [after[0] - before[0] for before, after in pairwise(candles)] == [MINUTE_MS] * 2
    assert (
        binance.api("trades?symbol=SOLUSDT&limit=5")[-1]["id"]
        >= binance.api("historicalTrades?symbol=SOLUSDT&limit=5")[-1]["id"] - 2
    )


def test_aggregates_name_the_trades_they_hold_and_have_ids_of_their_own(binance: SimulatorProcess) -> None:
    start_ms = binance.flags["now_ms"] - 3_600_000
    by_time = binance.api(f"aggTrades?symbol=ADAUSDT&startTime={start_ms}&endTime={start_ms + 600_000}&limit=50")
    assert start_ms <= by_time[0]["T"] <= by_time[-1]["T"] <= start_ms + 600_000
    assert binance.api(f"aggTrades?symbol=ADAUSDT&fromId={by_time[0]['a']}&limit=50") == by_time
    (trade,) = binance.api(f"historicalTrades?symbol=ADAUSDT&fromId={by_time[7]['f']}&limit=1")
    assert by_time[7]["a"] != trade["id"]
    assert [by_time[7][key] for key in "pqTm"] == [trade[key] for key in ("price", "qty", "time", "isBuyerMaker")]


def test_the_ticker_is_the_last_day_of_trades(binance: SimulatorProcess) -> None:
    ticker = binance.api("ticker/24hr?symbol=DOTUSDT")
    rows = all_trades(binance, "DOTUSDT", ticker["openTime"], ticker["closeTime"] + 1)
    assert (ticker["firstId"], ticker["lastId"], ticker["count"]) == (rows[0]["id"], rows[-1]["id"], len(rows))
    assert Decimal(ticker["volume"]) == sum(Decimal(row["qty"]) for row in rows)
    assert Decimal(ticker["quoteVolume"]) == sum(Decimal(row["quoteQty"]) for row in rows)
    assert ticker["lastPrice"] == rows[-1]["price"]
    assert Decimal(ticker["priceChange"]) == Decimal(rows[-1]["price"]) - Decimal(rows[0]["price"])
    assert Decimal(ticker["bidPrice"]) < Decimal(ticker["askPrice"])
    mini = binance.api('ticker/24hr?symbols=["DOTUSDT","BTCUSDT"]&type=MINI')
    assert [each["symbol"] for each in mini] == ["DOTUSDT", "BTCUSDT"]
    assert set(ticker) - set(mini[0]) == {
        "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastQty",
        "bidPrice", "bidQty", "askPrice", "askQty",
    }  # fmt: skip
    assert len(binance.api("ticker/24hr")) == 20


def test_microseconds_on_request(binance: SimulatorProcess) -> None:
    path = f"/api/v3/klines?symbol=BTCUSDT&interval=1m&endTime={binance.flags['now_ms'] - 3_600_000}&limit=2"
    ms, us = (binance.get(path, **headers).body for headers in ({}, {"X-MBX-TIME-UNIT": "MICROSECOND"}))
    assert [row[0] * 1_000 for row in ms] == [row[0] for row in us]
    assert us[0][6] == us[0][0] + 59_999_999


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("klines?symbol=NOSUCH&interval=1m", -1121),
        ("klines?symbol=BTCUSDT", -1102),
        ("klines?interval=1m", -1102),
        ("klines?symbol=BTCUSDT&interval=7m", -1120),
        ("klines?symbol=btcusdt&interval=1m", -1100),
        ("historicalTrades?symbol=BTCUSDT&fromId=-1", -1100),
        ("aggTrades?symbol=BTCUSDT&limit=many", -1100),
        ("ticker/24hr?symbol=BTCUSDT&symbols=[%22ETHUSDT%22]", -1128),
    ],
)
def test_bad_parameters_are_answered_with_the_venues_codes(binance: SimulatorProcess, path: str, code: int) -> None:
    answer = binance.get(f"/api/v3/{path}")
    assert (answer.status, answer.body["code"]) == (400, code)


def test_an_id_that_has_not_happened_answers_nothing(binance: SimulatorProcess) -> None:
    newest = binance.api("historicalTrades?symbol=TRXUSDT&limit=1")[0]["id"]
    assert binance.api(f"historicalTrades?symbol=TRXUSDT&fromId={newest + 10_000}") == []


def test_weights_are_counted_then_refused_then_banned_and_the_horizon_moves_ids(simulator: Start) -> None:
    process = simulator(
        symbols=3, limits="weight_per_minute=60,refusals_before_ban=2,ban_s=77,history_horizon_trades=10"
    )
    answer = process.get("/api/v3/exchangeInfo")
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "20"
    assert answer.body["rateLimits"][0]["limit"] == 60
    filters = {each["filterType"]: each for each in answer.body["symbols"][0]["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.01000000", "0.00001000")
    rows = process.api("historicalTrades?symbol=BTCUSDT&fromId=1&limit=1000")
    assert 10 <= len(rows) <= 11
    assert rows[0]["id"] > 1_000_000
    process.fault(rest_failures=1)
    assert process.get("/api/v3/time").status == 503
    while (refused := process.get("/api/v3/trades?symbol=BTCUSDT")).status == 200:
        pass
    answers = [refused, *(process.get("/api/v3/trades?symbol=BTCUSDT") for _ in range(3))]
    assert [each.status for each in answers] == [429, 429, 418, 418]
    assert 0 < int(answers[0].headers["Retry-After"]) <= 60
    assert answers[0].body["code"] == -1003
    assert 70 < int(answers[3].headers["Retry-After"]) <= 77
