"""Bars equal a decimal oracle to the last digit, and the bars that others made of the same recorded trades."""

from __future__ import annotations

import gzip
import json
import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bars_oracle import MINUTE, T0, Trade, bars, half_up
from bars_oracle import five_minute_bars as five_minute_bars_of
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from ways import Way, rows_of

from lakehouse.arrow import contract_schema
from lakehouse.table import Table
from silver.bars import KEY, VALUES
from silver.tables import CANDLES, FIVE_MINUTE_BARS, ONE_MINUTE_BARS

SEED = int(os.environ.get("CRYPTOLAKE_TEST_SEED") or random.randrange(2**32))  # noqa: S311
BIG = 2**40  # ids and sequences far enough apart not to share a long


def collected(rows: pa.Table, time: str = "minute") -> dict[tuple[str, str, datetime], dict[str, Any]]:
    found = rows.to_pylist()
    keyed = {(r["venue"], r["symbol"], r[time].astimezone(UTC)): {v: r[v] for v in VALUES} for r in found}
    assert len(keyed) == len(found), "a key came twice"
    return keyed


def trade(price: str, *, quantity: str = "1", us: int = 0, **over: Any) -> Trade:
    values = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "trade_id": None,
        "side": "buy",
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "event_time": T0 + timedelta(microseconds=us),
        "session_id": "s",
        "sequence": 0,
        "row": 0,
    }
    return Trade(**(values | over))


def candle(**over: Any) -> dict[str, Any]:
    values = {
        **{"venue": "binance", "symbol": "BTC-USDT", "minute": T0, "trade_count": 3, "row": 0},
        **dict.fromkeys(("open", "high", "low", "close", "volume", "amount"), Decimal(1)),
        **{"buy_volume": Decimal(0)},
    }
    return values | over


def columns(made: pa.Table) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in made.schema]


def columns_of(table: Table) -> list[tuple[str, pa.DataType]]:
    return columns(contract_schema(table).empty_table().drop_columns(["revised_at"]))


@st.composite
def _trades(draw: st.DrawFn) -> list[Trade]:
    numbered_by = {"A": "trade_id", "B": "sequence", "C": "venue_sequence"}
    numbers = st.sampled_from([0, 1, 2, 3, 65_535, 65_536, 2**21 - 1, 2**21, 2**37 - 1, 2**37, BIG, 2**46])
    found = {}
    for _ in range(draw(st.integers(1, 60))):
        symbol = draw(st.sampled_from(sorted(numbered_by)))
        price = Decimal(draw(st.integers(1, 10 ** draw(st.integers(1, 24)) - 1))).scaleb(-12)
        most = min(10**24 - 1, int(Decimal(10) ** 12 / price * 10**8))
        quantity = Decimal(draw(st.integers(1, max(1, min(most, 10 ** draw(st.integers(1, 24)) - 1))))).scaleb(-8)
        us = draw(st.sampled_from([0, 1, 999_999, 59_999_999, 60_000_000, 119_999_999]))
        one = Trade(
            venue="venue",
            symbol=symbol,
            trade_id=draw(numbers) if numbered_by[symbol] == "trade_id" else None,
            side=draw(st.sampled_from(["buy", "sell"])),
            price=price,
            quantity=quantity,
            event_time=T0 + timedelta(microseconds=us),
            session_id=draw(st.sampled_from(["", "01J", "01K", "01Ka"])),
            sequence=draw(numbers),
            row=draw(st.sampled_from([0, 1, 65_535, 65_536, 2**31 - 1])),
            venue_sequence=draw(numbers) if numbered_by[symbol] == "venue_sequence" else None,
            trade_key=draw(st.sampled_from(["7", "10", "a", "b-1"])),
        )
        found[symbol, one.place] = one
    return list({t.place: t for t in found.values()}.values())


@seed(SEED)
@settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(batches=st.lists(_trades(), min_size=6, max_size=6))
def test_bars_equal_the_decimal_oracle_to_the_last_digit(way: Way, batches: list[list[Trade]]) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    trades = [Trade(**(vars(t) | {"venue": f"v{i}"})) for i, batch in enumerate(batches) for t in batch]
    assert collected(way.minutes(trades)) == bars(trades)


def test_the_frame_has_the_columns_of_the_table(way: Way) -> None:
    bars, candles = way.minutes([trade("1")]), way.candles(rows_of(CANDLES, [candle()]))
    for made in (bars, candles, way.chosen(bars, candles)):
        assert columns(made) == columns_of(ONE_MINUTE_BARS)


def test_open_and_close_follow_time_then_id_as_a_number_else_the_venues_order_else_the_place(
    way: Way,
) -> None:
    by_id = [
        trade("10", us=5, trade_id=9),
        trade("11", us=5, trade_id=10),  # as text it would stand before 9
        trade("12", us=5, trade_id=2**37 + 3),
        trade("13", us=5, trade_id=2**62),
        trade("14", us=5, trade_id=2**37 + 2),
        trade("15", us=4, trade_id=2**63 - 1),
    ]
    by_place = [
        trade("20", symbol="ETH-USDT", session_id="b", sequence=1),
        trade("21", symbol="ETH-USDT", session_id="a", sequence=BIG, row=70_000),
        trade("22", symbol="ETH-USDT", session_id="a", sequence=BIG, row=3),
        trade("23", symbol="ETH-USDT", session_id="b", sequence=2, row=65_536),
        trade("24", symbol="ETH-USDT", session_id="b", sequence=2, row=65_535),
    ]
    by_order = [
        trade("30", symbol="SOL-USDT", venue_sequence=9, trade_key="b", session_id="z"),
        trade("31", symbol="SOL-USDT", venue_sequence=9, trade_key="a", session_id="y", sequence=7),
        trade("32", symbol="SOL-USDT", venue_sequence=10, trade_key="a", session_id="a"),
        trade("33", symbol="SOL-USDT", venue_sequence=10, trade_key="c", session_id="a", row=1),
        trade("34", symbol="SOL-USDT", venue_sequence=10, trade_key="b", session_id="a", row=2),
    ]
    found = {key[1]: bar for key, bar in collected(way.minutes(by_id + by_place + by_order)).items()}
    assert (found["BTC-USDT"]["open"], found["BTC-USDT"]["close"]) == (15, 13)
    assert (found["ETH-USDT"]["open"], found["ETH-USDT"]["close"]) == (22, 23)
    assert (found["SOL-USDT"]["open"], found["SOL-USDT"]["close"]) == (31, 33)


def test_a_minute_has_both_its_edges_and_none_of_the_next(way: Way) -> None:
    trades = [trade("1", us=-1), trade("2", us=0), trade("3", us=59_999_999), trade("4", us=60_000_000)]
    found = collected(way.minutes(trades))
    assert [(bar["open"], bar["close"]) for _, bar in sorted(found.items())] == [(1, 1), (2, 3), (4, 4)]


def test_averages_round_ties_up(way: Way) -> None:
    # 1e-12 / 32 = 312.5e-16
    trades = [trade("0.000000000002", row=0)] + [trade("0.000000000001", row=i, us=i) for i in range(1, 32)]
    found = way.minutes(trades).to_pylist()[0]
    assert found["average_price"] == Decimal("0.0000000000010313")  # 33 / 32 = 1.03125
    assert found["price_sum"] == Decimal("0.000000000033")


def test_vwap_is_rounded_to_24_and_then_to_16_decimals(way: Way) -> None:
    # amount / volume lies a little below the half of the 16th decimal, and 24 decimals do not show it
    volume = 10**12 + 1
    amount = (pow(20_000, -1, volume) * (volume - 1)) % volume
    assert (20_000 * amount + 1) % volume == 0
    exact = Fraction(amount, 10**20) / Fraction(volume, 10**8)
    once, twice = half_up(exact, 16), half_up(Fraction(half_up(exact, 24)), 16)
    assert once != twice
    one = candle(volume=Decimal(volume).scaleb(-8), amount=Decimal(amount).scaleb(-20))
    (found,) = way.candles(rows_of(CANDLES, [one])).to_pylist()
    assert found["vwap"] == twice
    assert (found["average_price"], found["price_sum"], found["origin"]) == (None, None, "klines")


def test_a_candle_without_trades_is_no_bar(way: Way) -> None:
    assert way.candles(rows_of(CANDLES, [candle(trade_count=0)])).num_rows == 0


def test_a_sum_that_does_not_fit_is_null_and_ends_nothing(way: Way) -> None:
    most = "999999999999.999999999999"
    trades = [trade(most, quantity="9999999999999999.99999999", row=i) for i in range(2)]
    found = way.minutes(trades).to_pylist()[0]
    assert (found["amount"], found["vwap"]) == (None, None)
    assert found["average_price"] == Decimal("999999999999.9999999999990000")
    assert found["volume"] == Decimal("19999999999999999.99999998")


def drawn_bars(draw: random.Random) -> dict[tuple[str, str, datetime], dict[str, Any]]:
    """One-minute bars of three symbols over an hour, some of candles, with prices and counts of any size."""
    found = {}
    for symbol in ("A", "B", "C"):
        for minute in draw.sample(range(60), 40):
            prices = [Decimal(draw.randrange(1, 10 ** draw.randrange(1, 21))).scaleb(-12) for _ in range(4)]
            count, lots = draw.randrange(1, 10**6), draw.randrange(1, 10 ** draw.randrange(1, 17))
            price_sum, volume = sum(prices) * count, Decimal(lots).scaleb(-8)
            candle = draw.random() < 0.15
            found["venue", symbol, T0 + minute * MINUTE] = {
                **{"open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1]},
                **{"volume": volume, "buy_volume": Decimal(draw.randrange(lots)).scaleb(-8)},
                "amount": prices[1] * volume,
                "price_sum": None if candle else price_sum,
                "average_price": None if candle else half_up(Fraction(price_sum) / count, 16),
                "vwap": None,  # that of five minutes is made of their amount and volume
                "trade_count": count,
                "origin": "klines" if candle else "trades",
            }
    return found


def stored(bars: dict[tuple[str, str, datetime], dict[str, Any]]) -> pa.Table:
    return rows_of(ONE_MINUTE_BARS, ({**dict(zip(KEY, key, strict=True)), **bar} for key, bar in bars.items()))


def test_five_minute_bars_equal_the_decimal_oracle_to_the_last_digit(way: Way) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    with localcontext() as context:
        context.prec = 200
        rows = drawn_bars(random.Random(SEED))  # noqa: S311
        wanted = five_minute_bars_of(rows)
    made = way.fives(stored(rows))
    assert columns(made) == columns_of(FIVE_MINUTE_BARS)
    assert collected(made, "window_start") == wanted
    assert {bar["origin"] for bar in wanted.values()} == {"klines", "trades"}


def test_five_minutes_whose_sum_does_not_fit_or_is_not_known_have_none(way: Way) -> None:
    sums = ("volume", "buy_volume", "amount", "price_sum", "average_price")
    most = {
        **dict.fromkeys(("open", "high", "low", "close"), Decimal(1)),
        **dict.fromkeys(("volume", "buy_volume"), Decimal("99999999999999999999999999.99999999")),
        **dict.fromkeys(("amount", "price_sum"), Decimal("999999999999999999")),
        **{"average_price": Decimal("99999999999.9999999"), "vwap": None, "trade_count": 10**7, "origin": "trades"},
    }
    rows = {("v", symbol, T0): most for symbol in ("MOST", "LACKING")}
    rows["v", "MOST", T0 + 4 * MINUTE] = most
    rows["v", "LACKING", T0 + 4 * MINUTE] = {**most, **dict.fromkeys(sums)}
    made = collected(way.fives(stored(rows)), "window_start")
    found = {key[1]: bar for key, bar in made.items()}
    assert [found["MOST"][name] for name in sums] == [None, None, None, None, Decimal("99999999999.9999999")]
    assert [found["LACKING"][name] for name in sums] == [None] * 5
    assert [(bar["vwap"], bar["trade_count"]) for bar in found.values()] == [(None, 2 * 10**7)] * 2


def test_the_recorded_trades_give_the_recorded_bars(way: Way, recorded_data: Path) -> None:
    with gzip.open(recorded_data / "binance_xrpeth_aggtrades.jsonl.gz", "rt") as lines:
        recorded = [json.loads(line) for line in lines]
    trades = [
        trade(
            t["p"],
            quantity=t["q"],
            trade_id=t["a"],
            side="sell" if t["m"] else "buy",
            event_time=datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=t["T"]),
        )
        for t in recorded
    ]
    assert len(trades) == 12_477
    found = collected(way.minutes(trades))
    with gzip.open(recorded_data / "binance_xrpeth_1m.csv.gz", "rt") as lines:
        rows = [line.strip().split(",") for line in lines][1:]
    fields = ("open", "high", "low", "close", "volume")
    wanted = {datetime.fromisoformat(row[0]): dict(zip(fields, map(Decimal, row[1:]), strict=True)) for row in rows}
    assert len(wanted) == 2_469
    assert {key[2]: {name: bar[name] for name in fields} for key, bar in found.items()} == wanted
    assert sum(bar["trade_count"] for bar in found.values()) == 12_477


@pytest.mark.parametrize(
    ("heard", "counted", "origin"), [(3, 4, "klines"), (4, 4, "trades"), (5, 4, "trades"), (0, 4, "klines")]
)
def test_a_minute_is_of_its_trades_unless_the_candle_counts_more(
    way: Way, heard: int, counted: int, origin: str
) -> None:
    from_trades = way.minutes([trade("1", row=i) for i in range(max(heard, 1))]).slice(0, min(heard, 1))
    from_candles = way.candles(rows_of(CANDLES, [candle(trade_count=counted)]))
    (found,) = way.chosen(from_trades, from_candles).to_pylist()
    assert (found["origin"], found["trade_count"]) == (origin, heard if origin == "trades" else counted)
    assert list(found) == [*KEY, *VALUES]
