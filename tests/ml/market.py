"""Made-up bars for the tests of models: a market with a signal to find, and one with none."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from silver.tables import ONE_MINUTE_BARS

START_S = 1_722_470_400  # 2024-08-01 00:00 UTC
SYMBOLS = tuple(f"C{i:02d}-USDT" for i in range(1, 20))


def bars(
    spark: SparkSession,
    *,
    seed: int,
    symbols: int = 20,
    minutes: int = 2880,
    signal: float = 0.0,
    start_s: int = START_S,
    missing: float = 0.0,
) -> DataFrame:
    """Bars of `symbols` symbols (the first is BTC-USDT) in the columns of silver.one_minute_bars.

    Args:
        signal: how many noise deviations a minute's drift is; its sign is told by the taker-buy share a minute before.
        missing: share of minutes without a bar.
    """
    print(f"market seed {seed}")
    rng = np.random.default_rng(seed)
    names = ("BTC-USDT", *SYMBOLS)[:symbols]
    frames = [_symbol(rng, name, minutes, signal, start_s, missing) for name in names]
    raw = spark.createDataFrame(pd.concat(frames, ignore_index=True))
    types = {field.name: field.dataType for field in ONE_MINUTE_BARS.schema}
    made = {
        "minute": f.timestamp_seconds("minute_s"),
        "price_sum": f.lit(None),
        "average_price": f.lit(None),
        "revised_at": f.lit(None),
        "origin": f.lit("klines"),
        "venue": f.lit("binance"),
    }
    return raw.select(*(made.get(name, f.col(name)).cast(types[name]).alias(name) for name in ONE_MINUTE_BARS.columns))


def _symbol(
    rng: np.random.Generator, name: str, minutes: int, signal: float, start_s: int, missing: float
) -> pd.DataFrame:
    regime = np.sign(rng.standard_normal(minutes // 15 + 1)).repeat(15)[:minutes]
    noise = 0.0005
    drift = np.concatenate(([0.0], regime[:-1])) * signal * noise
    close = np.round(100 * np.exp(np.cumsum(drift + noise * rng.standard_normal(minutes))), 4)
    open_ = np.concatenate(([100.0], close[:-1]))
    wick = np.abs(rng.standard_normal((2, minutes))) * noise * 50
    high, low = np.maximum(open_, close) + np.round(wick[0], 4), np.minimum(open_, close) - np.round(wick[1], 4)
    volume = np.round(rng.lognormal(0, 0.5, minutes), 4) + 0.0001
    buy_share = np.clip(0.5 + 0.2 * regime + 0.05 * rng.standard_normal(minutes), 0.01, 0.99)
    frame = pd.DataFrame(
        {
            "symbol": name,
            "minute_s": start_s + 60 * np.arange(minutes),
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "buy_volume": np.round(volume * buy_share, 6),
            "amount": volume * close,
            "vwap": (open_ + close) / 2,
            "trade_count": 10,
        }
    )
    return frame[rng.random(minutes) >= missing] if missing else frame
