"""Trends equal a decimal oracle to the last digit, ties that a second rounding would miss included."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from bars_oracle import MINUTE, T0, half_up, trends
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from ways import Way, rows_of

from lakehouse.arrow import contract_schema
from silver.bars import KEY
from silver.tables import ONE_MINUTE_BARS, SIX_MINUTE_TRENDS
from silver.trends import TREND_VALUES

SEED = int(os.environ.get("CRYPTOLAKE_TEST_SEED") or random.randrange(2**32))  # noqa: S311
Averages = dict[tuple[str, str, datetime], Decimal]


def trends_of(way: Way, averages: dict[tuple[str, str, datetime], Decimal | None]) -> dict[Any, Any]:
    bars = ({**dict(zip(KEY, key, strict=True)), "average_price": average} for key, average in averages.items())
    made = way.trends(rows_of(ONE_MINUTE_BARS, bars))
    wanted = contract_schema(SIX_MINUTE_TRENDS).empty_table().drop_columns(["revised_at"]).schema
    assert [(field.name, field.type) for field in made.schema] == [(field.name, field.type) for field in wanted]
    found = made.to_pylist()
    return {(r["venue"], r["symbol"], r["minute"].astimezone(UTC)): {v: r[v] for v in TREND_VALUES} for r in found}


def series(*averages: str | Decimal | None, symbol: str = "BTC-USDT") -> dict[Any, Any]:
    return {
        ("binance", symbol, T0 + i * MINUTE): None if average is None else Decimal(average)
        for i, average in enumerate(averages)
    }


@st.composite
def _averages(draw: st.DrawFn) -> list[tuple[int, Decimal]]:
    minutes = draw(st.lists(st.integers(0, 20), min_size=1, max_size=12, unique=True))
    # Prices of a symbol within 1e8 of each other, or the change does not fit its column.
    size = draw(st.integers(1, 27))
    low = 10 ** max(0, size - 7)
    return [(minute, Decimal(draw(st.integers(low, 10**size))).scaleb(-16)) for minute in minutes]


@seed(SEED)
@settings(
    max_examples=4, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(symbols=st.lists(_averages(), min_size=30, max_size=30))
def test_trends_equal_the_decimal_oracle_to_the_last_digit(way: Way, symbols: list[list[tuple[int, Decimal]]]) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    averages = {
        ("venue", f"S{i}", T0 + minute * MINUTE): price for i, many in enumerate(symbols) for minute, price in many
    }
    assert trends_of(way, dict(averages)) == trends(averages)


def test_a_change_just_below_a_tie_is_not_rounded_up(way: Way) -> None:
    # 100 x (this / first - 1) = k.00000000499..., with more nines than a division of Spark keeps; and its mirror image.
    first = 677_201_234_567_890_123_457  # in units of 1e-16; odd and no multiple of 5
    missing = 1
    difference = (-missing * pow(20_000_000_000, -1, first)) % first
    assert ((20_000_000_000 * difference + missing) // first) % 2 == 1
    exact = 100 * Fraction(difference, first)
    assert half_up(exact, 8) != half_up(Fraction(half_up(exact, 21)), 8)
    up = series(Decimal(first).scaleb(-16), Decimal(first + difference).scaleb(-16), symbol="UP")
    down = series(Decimal(first).scaleb(-16), Decimal(first - difference).scaleb(-16), symbol="DOWN")
    found = trends_of(way, up | down)
    assert found == trends(up | down)
    assert found["binance", "UP", T0 + MINUTE]["change_pct"] == half_up(exact, 8)
    assert found["binance", "DOWN", T0 + MINUTE]["change_pct"] == -half_up(exact, 8)


def test_an_exact_tie_goes_away_from_zero(way: Way) -> None:
    averages = series("100", "100.000000005", symbol="UP") | series("100", "99.999999995", symbol="DOWN")
    found = trends_of(way, averages)
    assert found["binance", "UP", T0 + MINUTE]["change_pct"] == Decimal("0.00000001")
    assert found["binance", "DOWN", T0 + MINUTE]["change_pct"] == Decimal("-0.00000001")


def test_the_trend_is_the_sign_of_the_stored_change(way: Way) -> None:
    found = trends_of(way, series("100", "100.0000000049999999", "100.000000005", "99"))
    assert [row["trend"] for _, row in sorted(found.items())] == ["flat", "flat", "up", "down"]


def test_the_window_is_six_minutes_and_counts_only_those_present(way: Way) -> None:
    found = trends_of(way, series("10", None, "20", "30", None, None, "60", None, "81"))
    rows = [(key[2], *row.values()) for key, row in sorted(found.items())]
    assert rows == [
        (T0, Decimal(10), 1, Decimal(0), "flat"),
        (T0 + 2 * MINUTE, Decimal(15), 2, Decimal(100), "up"),
        (T0 + 3 * MINUTE, Decimal(20), 3, Decimal(200), "up"),
        (T0 + 6 * MINUTE, half_up(Fraction(110, 3), 16), 3, Decimal(200), "up"),
        (T0 + 8 * MINUTE, Decimal(57), 3, Decimal(170), "up"),
    ]


@pytest.mark.parametrize(("last", "trend"), [("999999999999", "up"), ("0.0000000000010000", "flat")])
def test_a_change_that_does_not_fit_is_null_and_ends_nothing(way: Way, last: str, trend: str) -> None:
    found = trends_of(way, series("0.000000000001", last))[("binance", "BTC-USDT", T0 + MINUTE)]
    assert found["trend"] == trend
    assert found["change_pct"] == (None if trend == "up" else 0)
