from __future__ import annotations

import math

import numpy as np
import pytest

from lakehouse.settings import load_settings
from simulator.catalogue import BY_NAME, CATALOGUE, first_id
from simulator.past import Past
from simulator.paths import US_A_DAY, Paths
from simulator.trades import Floats, Trades, number_text, wire_text

SEED = 11
START_US = 20_000 * US_A_DAY + 5 * 3_600_000_000  # 2024-10-04 05:00 UTC
MARKET = load_settings().simulator.market


def past(seed: int = SEED) -> Past:
    return Past(seed, MARKET, Paths(seed, MARKET))


@pytest.fixture(scope="module")
def one_past() -> Past:
    return past()


def same(a: Trades, b: Trades) -> bool:
    return a.first_id == b.first_id and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("time_us", "ticks", "lots", "buy")
    )


def lag_1(series: Floats) -> float:
    return float(np.corrcoef(series[1:], series[:-1])[0, 1])


def minute_returns(name: str) -> Floats:
    grid = np.arange(START_US, START_US + 2 * US_A_DAY, 60_000_000)
    return np.diff(Paths(SEED, MARKET).log_mid(BY_NAME[name], grid))


def test_the_past_is_the_same_in_whatever_order_it_is_asked_for(one_past: Past) -> None:
    symbol, end = CATALOGUE[0], START_US + 2 * US_A_DAY
    whole = one_past.between(symbol, START_US, end)
    again = past()
    late = again.between(symbol, end - 60_000_000, end)
    assert same(late, whole[len(whole) - len(late) :])
    assert same(again.by_id(symbol, whole.first_id, whole.first_id + len(whole)), whole)
    middle = whole.first_id + len(whole) // 2
    assert same(past().by_id(symbol, middle, middle + 7), whole[len(whole) // 2 : len(whole) // 2 + 7])


def test_another_seed_makes_another_past(one_past: Past) -> None:
    symbol = CATALOGUE[0]
    ours = one_past.between(symbol, START_US, START_US + 3_600_000_000)
    other = past(SEED + 1).between(symbol, START_US, START_US + 3_600_000_000)
    assert not np.array_equal(ours.ticks[:100], other.ticks[:100])


def test_two_days_of_twenty_symbols_have_about_ten_trades_a_minute_on_the_grid_of_each(one_past: Past) -> None:
    for symbol in CATALOGUE[:20]:
        trades = one_past.between(symbol, START_US, START_US + 2 * US_A_DAY)
        assert 9.5 < len(trades) / 2_880 < 10.5
        assert (np.diff(trades.time_us) >= 0).all()
        assert (trades.time_us % 1_000 == 0).all()
        assert trades.ticks.min() > 0
        assert trades.lots.min() > 0


def test_ids_and_prices_go_on_over_midnight(one_past: Past) -> None:
    midnight = START_US // US_A_DAY * US_A_DAY + US_A_DAY
    for symbol in CATALOGUE:
        trades = one_past.between(symbol, midnight - 600_000_000, midnight + 600_000_000)
        after = int(np.searchsorted(trades.time_us, midnight))
        assert one_past.next_id(symbol, midnight) == trades.first_id + after
        assert abs(math.log(trades.ticks[after] / trades.ticks[after - 1])) < 0.01


def test_nothing_is_before_the_epoch(one_past: Past) -> None:
    symbol = CATALOGUE[0]
    assert one_past.next_id(symbol, one_past.epoch_us - 1) == first_id(symbol)
    assert one_past.by_id(symbol, 1, first_id(symbol) + 3).first_id == first_id(symbol)


def test_prices_bounce_between_bid_and_ask_and_takers_come_in_runs(one_past: Past) -> None:
    for name in ("BTCUSDT", "XRPUSDT", "ETHBTC", "SHIBUSDT"):
        trades = one_past.between(BY_NAME[name], START_US, START_US + 2 * US_A_DAY)
        assert lag_1(np.diff(trades.ticks).astype(float)) < -0.03, name
        assert 0.57 < lag_1(np.where(trades.buy, 1.0, -1.0)) < 0.63, name


def test_returns_are_correlated_and_not_predictable_from_the_last_one() -> None:
    btc, eth = minute_returns("BTCUSDT"), minute_returns("ETHUSDT")
    assert 0.4 < float(np.corrcoef(btc, eth)[0, 1]) < 0.7  # the square of factor_loading is 0.56
    assert abs(lag_1(btc)) < 0.08


def test_volatility_clusters_and_has_the_size_the_catalogue_says() -> None:
    returns = minute_returns("BTCUSDT")
    assert lag_1(np.abs(returns)) > 0.1
    assert 0.012 < float(np.std(returns)) * math.sqrt(1_440) < 0.04  # 0.022 on the mean of many days


def test_a_cross_is_worth_what_its_legs_are() -> None:
    paths = Paths(SEED, MARKET)
    at = np.array([START_US])
    legs = paths.log_mid(BY_NAME["ETHUSDT"], at) - paths.log_mid(BY_NAME["BTCUSDT"], at)
    assert paths.log_mid(BY_NAME["ETHBTC"], at) == pytest.approx(legs)


@pytest.mark.parametrize(
    ("units", "decimals", "wire", "number"),
    [
        (6183763, 2, "61837.63000000", "61837.63"),
        (180, 0, "180.00000000", "180"),
        (1166, 8, "0.00001166", "0.00001166"),
        (5000, 3, "5.00000000", "5"),
        (77090, 2, "770.90000000", "770.9"),
    ],
)
def test_text_of_prices(units: int, decimals: int, wire: str, number: str) -> None:
    assert wire_text(units, decimals) == wire
    assert number_text(units, decimals) == number
