from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import market
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from ml.labels import with_labels
from ml.outcome import MINUTE, change_pct, outcome

T0 = datetime(2024, 8, 1, tzinfo=UTC)
SCHEMA = "venue string, symbol string, minute timestamp, close decimal(24,12)"


def labels(
    spark: SparkSession, closes: dict[int, str], horizon_s: int = 360
) -> dict[int, tuple[str, str, float | None]]:
    rows = [("binance", "BTC-USDT", T0 + m * MINUTE, Decimal(c)) for m, c in closes.items()]
    found = with_labels(spark.createDataFrame(rows, SCHEMA), 360)
    found = found.select(f.unix_seconds("minute").alias("s"), f.col("actual_price").cast("double"), "move", "label")
    return {(r["s"] - int(T0.timestamp())) // 60: (r["actual_price"], r["move"], r["label"]) for r in found.collect()}


def test_the_label_is_the_sign_of_the_move_to_the_last_close_of_the_horizon(spark: SparkSession) -> None:
    closes = {0: "10", 1: "11", 2: "10", 6: "10", 7: "10.5", 8: "9", 20: "9", 27: "1"}
    assert labels(spark, closes) == {
        0: (10.0, "flat", None),  # a tie is no training label
        1: (10.5, "down", 0.0),
        2: (9.0, "down", 0.0),
        6: (9.0, "down", 0.0),  # nothing traded in the last minute: the last close before it
        7: (9.0, "down", 0.0),
    }  # 8: no trade in its horizon; 20: the same; 27: its horizon is not over


def test_live_outcomes_follow_the_rule_that_training_labels_follow(spark: SparkSession) -> None:
    bars = market.bars(spark, seed=3, symbols=2, minutes=150, missing=0.6).persist()
    rows = bars.select("symbol", "minute", "close").toArrow().to_pylist()
    closes: dict[str, dict[datetime, Decimal]] = {}
    for row in rows:
        closes.setdefault(row["symbol"], {})[row["minute"]] = row["close"]
    trained = {(r["symbol"], r["minute"]): r for r in with_labels(bars, 360).toArrow().to_pylist()}
    compared = 0
    for row in rows:
        feature_time = row["minute"] + MINUTE
        prediction = {
            "feature_time": feature_time,
            "target_time": feature_time + timedelta(seconds=360),
            "price": row["close"],
            "direction": "up",
        }
        newest = max(closes[row["symbol"]])
        if row["minute"] + 6 * MINUTE > newest:
            continue
        live = outcome(prediction, closes[row["symbol"]], newest + timedelta(hours=1), grace_minutes=2)
        assert live is not None
        label = trained.get((row["symbol"], row["minute"]))
        assert live.label_status == ("matured" if label else "expired")
        assert live.actual_price == (label["actual_price"] if label else None)
        assert live.correct == ({"up": True, "down": False, "flat": None}[label["move"]] if label else None)
        compared += 1
    assert compared > 50
    bars.unpersist()


def test_a_silent_symbol_is_settled_only_when_its_venue_is_past_the_grace() -> None:
    prediction = {"feature_time": T0, "target_time": T0 + 6 * MINUTE, "price": Decimal(10), "direction": "down"}
    closes = {T0 - MINUTE: Decimal(10), T0 + 2 * MINUTE: Decimal(9)}
    last = T0 + 5 * MINUTE
    assert outcome(prediction, closes, last + MINUTE, grace_minutes=2) is None
    late = outcome(prediction, closes, last + 2 * MINUTE, grace_minutes=2)
    assert late is not None
    assert (late.actual_price, late.actual_change, late.correct) == (Decimal(9), Decimal("-10.00000000"), True)
    at_once = outcome(prediction, closes | {last: Decimal(11)}, last, grace_minutes=2)
    assert at_once is not None
    assert (at_once.actual_price, at_once.correct) == (Decimal(11), False)
    none = outcome(prediction, {T0 - MINUTE: Decimal(10)}, last + 2 * MINUTE, grace_minutes=2)
    assert none is not None
    assert (none.label_status, none.actual_price, none.correct) == ("expired", None, None)


def test_changes_are_rounded_half_up_to_eight_places_of_a_percent() -> None:
    assert change_pct(Decimal(3), Decimal(4)) == Decimal("33.33333333")
    assert change_pct(Decimal(3), Decimal(5)) == Decimal("66.66666667")
    assert change_pct(Decimal("1000000"), Decimal("1000000.00005")) == Decimal("0.00000001")
