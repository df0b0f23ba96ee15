from __future__ import annotations

import math

import market
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from lakehouse.settings import load_settings
from ml.features import FEATURES, with_features

ML = load_settings().ml
KEY = ["symbol", "minute_s"]


def rows_of(frame) -> pd.DataFrame:
    out = frame.select("symbol", f.unix_seconds("minute").alias("minute_s"), *FEATURES).toPandas()
    return out.sort_values(KEY).reset_index(drop=True)


@pytest.fixture(scope="module")
def bars(spark: SparkSession):
    frame = market.bars(spark, seed=7, symbols=3, minutes=120, signal=0.3, missing=0.08).persist()
    yield frame
    frame.unpersist()


@pytest.fixture(scope="module")
def features(bars) -> pd.DataFrame:
    return rows_of(with_features(bars, ML))


def test_features_equal_a_plain_computation_from_the_bars(bars, features) -> None:
    pdf = bars.select(
        "symbol", f.unix_seconds("minute").alias("minute_s"), "close", "volume", "buy_volume", "high", "low"
    )
    pdf = pdf.toPandas().astype({c: float for c in ("close", "volume", "buy_volume", "high", "low")})
    row = features.iloc[len(features) // 2]
    own = pdf[(pdf.symbol == row.symbol) & (pdf.minute_s <= row.minute_s)].sort_values("minute_s").tail(21)
    returns = own.close.pct_change().tail(20)
    expected = {
        "return_6": own.close.iloc[-1] / own.close.iloc[-7] - 1,
        "price_to_ma20": own.close.iloc[-1] / own.close.tail(20).mean() - 1,
        "volatility_20": returns.std(ddof=0),
        "volume_ratio": own.volume.iloc[-1] / own.volume.head(20).mean(),
        "buy_share_6": own.buy_volume.tail(6).sum() / own.volume.tail(6).sum(),
        "close_location": (own.close.iloc[-1] - own.low.iloc[-1]) / (own.high.iloc[-1] - own.low.iloc[-1]),
    }
    for name, value in expected.items():
        assert math.isclose(row[name], value, rel_tol=1e-9, abs_tol=1e-12), name


def test_a_row_does_not_change_when_later_bars_come(bars, features) -> None:
    cut = market.START_S + 90 * 60
    early = rows_of(with_features(bars.where(f.unix_seconds("minute") <= cut), ML))
    pd.testing.assert_frame_equal(early, features[features.minute_s <= cut].reset_index(drop=True), check_exact=True)


def test_a_stream_that_sees_the_last_minutes_only_makes_the_same_row_as_the_whole_history(bars, features) -> None:
    reach_s = (ML.lookback_minutes + ML.gap_tolerance_minutes) * 60
    newest = int(features.minute_s.max())
    late = rows_of(with_features(bars.where(f.unix_seconds("minute") >= newest - reach_s), ML))
    late = late[late.minute_s == newest].reset_index(drop=True)
    assert len(late) > 0
    pd.testing.assert_frame_equal(late, features[features.minute_s == newest].reset_index(drop=True), check_exact=True)


def test_no_row_before_the_look_back_is_full_nor_across_a_longer_silence(spark: SparkSession) -> None:
    bars = market.bars(spark, seed=1, symbols=1, minutes=80)
    silent_from, tolerated = market.START_S + 40 * 60, ML.gap_tolerance_minutes * 60

    def minutes_after(silence_s: int) -> set[int]:
        second = f.unix_seconds("minute")
        kept = bars.where((second < silent_from) | (second >= silent_from + silence_s))
        return set(rows_of(with_features(kept, ML)).minute_s)

    within = minutes_after(tolerated)
    assert min(within) == market.START_S + ML.lookback_minutes * 60
    assert silent_from + tolerated in within
    beyond = minutes_after(tolerated + 60)
    first_after = min(m for m in beyond if m >= silent_from)
    assert first_after == silent_from + tolerated + 60 + ML.lookback_minutes * 60


def test_the_market_is_the_same_minutes_return_of_its_symbol_and_zero_without_it(bars, features) -> None:
    merged = features.merge(features[features.symbol == "BTC-USDT"], on="minute_s", suffixes=("", "_btc"))
    assert (merged.market_return_1 == merged.return_1_btc).all()
    without = rows_of(with_features(bars.where("symbol != 'BTC-USDT'"), ML))
    assert (without.market_return_6 == 0).all()
