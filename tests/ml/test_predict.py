from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import market
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

from gold.tables import MODEL_SCORES, PREDICTIONS, TABLES
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings
from ml.predict import Predict
from ml.registry import Registry
from ml.training import train
from silver.tables import ONE_MINUTE_BARS

SYMBOLS = 3
FIRST = 900  # minutes of bars that are there before the first prediction
ML = {"min_training_rows": 300, "trees": 5, "predict_back_minutes": 10, "live_score_interval_s": 0}


def instant(minute: int, seconds: float = 0) -> datetime:
    return datetime.fromtimestamp(market.START_S + 60 * minute + seconds, UTC)


def between(first: int, last: int) -> pc.Expression:
    """Of bars: those of minutes first..last."""
    return (pc.field("minute") >= instant(first)) & (pc.field("minute") <= instant(last))


@pytest.fixture(scope="module")
def bars(spark: SparkSession) -> pa.Table:
    return market.bars(spark, seed=21, symbols=SYMBOLS, minutes=FIRST + 40, signal=0.3).toArrow()


@pytest.fixture(scope="module")
def trained_home(spark: SparkSession, bars: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = load_settings(home=tmp_path_factory.mktemp("trained"), ml=ML)
    lake = Lake(spark, settings)
    lake.create(ONE_MINUTE_BARS)
    lake.append_rows(ONE_MINUTE_BARS, bars.filter(between(0, FIRST - 1)))
    train(lake, settings)
    return settings


class Market:
    """A lake whose bars come minute by minute, and the wall clock beside it."""

    def __init__(self, lake: Lake, bars: pa.Table) -> None:
        self.lake, self.bars = lake, bars
        self.now = instant(FIRST, 6)
        lake.create(ONE_MINUTE_BARS, *TABLES)

    def clock(self) -> datetime:
        return self.now

    def close(self, first: int, last: int, *, late_s: float = 6, without: str = "") -> None:
        """Store the bars of minutes first..last; it is then `late_s` after the last one's end."""
        wanted = between(first, last) & (pc.field("symbol") != without)
        self.lake.append_rows(ONE_MINUTE_BARS, self.bars.filter(wanted))
        self.now = instant(last + 1, late_s)

    def rows(self, *statuses: str, minute: int | None = None) -> list[dict[str, Any]]:
        """The predictions, of these statuses or of that minute if one is given."""
        wanted = [("label_status", "in", statuses)] if statuses else []
        wanted += [] if minute is None else [("minute", "=", instant(minute))]
        found = self.lake.rows_where(PREDICTIONS, [wanted] if wanted else ())
        return found.sort_by([("feature_time", "ascending"), ("symbol", "ascending")]).to_pylist()

    def close_price(self, symbol: str, minute: int) -> Decimal:
        (row,) = self.bars.filter(between(minute, minute) & (pc.field("symbol") == symbol)).to_pylist()
        return row["close"]


@pytest.fixture
def live(spark: SparkSession, bars: pa.Table, trained_home: Settings, tmp_path: Path) -> Market:
    """The trained champion's registry beside an empty lake with the bars of the last half hour."""
    settings = load_settings(
        home=tmp_path / "home", ml=ML, mlflow={"tracking_uri": Registry(trained_home).tracking_uri}
    )
    made = Market(Lake(spark, settings), bars)
    made.close(FIRST - 40, FIRST - 1)
    return made


def test_every_closed_minute_gets_one_row_and_what_came_of_it(live: Market) -> None:
    step = Predict(live.lake, live.clock)
    assert step.drain() == 2
    back = live.rows()
    assert {r["minute"] for r in back} == {instant(m) for m in range(FIRST - 11, FIRST)}
    for row in back:  # made late: those whose target was over are never scored
        assert row["label_status"] == ("backfilled" if row["target_time"] < live.now else "pending")
    live.close(FIRST, FIRST + 6)
    assert step.drain() == 1
    live.close(FIRST + 7, FIRST + 7)
    assert step.drain() == 1
    newest = live.rows(minute=FIRST + 7)
    assert [r["symbol"] for r in newest] == ["BTC-USDT", "C01-USDT", "C02-USDT"]
    assert newest[0]["predicted_at"] == live.now
    assert newest[0]["price"] == live.close_price("BTC-USDT", FIRST + 7)
    assert newest[0]["feature_time"] == instant(FIRST + 8)
    assert newest[0]["target_time"] == newest[0]["expires_at"] == instant(FIRST + 14)
    assert newest[0]["predicted_price"] is None
    assert newest[0]["confidence"] == max(newest[0]["probability"], 1 - newest[0]["probability"])

    keys = [tuple(r[c] for c in PREDICTIONS.key) for r in live.rows()]
    assert len(keys) == len(set(keys)) == SYMBOLS * (11 + 8)
    matured = live.rows("matured")
    late = {r["minute"] for r in live.rows("backfilled")}
    assert {r["minute"] for r in matured} == {instant(m) for m in range(FIRST - 6, FIRST + 2)} - late
    for row in matured:
        minute = round((row["minute"] - instant(0)) / timedelta(minutes=1))
        actual = live.close_price(row["symbol"], minute + 6)
        assert row["actual_price"] == actual
        assert row["correct"] == ((actual > row["price"]) == (row["direction"] == "up"))
        assert row["settled_at"] <= live.now
    assert all(r["actual_price"] is None for r in live.rows("backfilled"))

    wanted = [("split", "=", "live"), ("symbol", "=", "*"), ("metric", "=", "accuracy")]
    last = max(live.lake.rows_where(MODEL_SCORES, [wanted]).to_pylist(), key=lambda row: row["scored_at"])
    assert last["n"] == len(matured)
    assert last["value"] == pytest.approx(sum(r["correct"] for r in matured) / len(matured))
    majority = [(r["baseline_majority"] == "up") == (r["actual_price"] > r["price"]) for r in matured]
    assert last["baseline_majority"] == pytest.approx(sum(majority) / len(majority))


def test_nothing_is_added_twice_after_a_crash_between_two_writes(live: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def kill_at(point: str) -> None:
        def fault_point(name: str) -> None:
            if name == point:
                raise Killed(name)

        monkeypatch.setattr("ml.predict.fault_point", fault_point)

    kill_at("after_predictions_commit")
    with pytest.raises(Killed):
        Predict(live.lake, live.clock).drain()
    made = live.rows()
    assert len(made) == SYMBOLS * 11
    kill_at("nowhere")
    again = Predict(Lake(live.lake.spark, live.lake.settings), live.clock)
    assert again.drain() == 0
    live.close(FIRST, FIRST + 5)
    kill_at("after_labels_commit")
    with pytest.raises(Killed):
        Predict(Lake(live.lake.spark, live.lake.settings), live.clock).drain()
    kill_at("nowhere")
    versions = live.lake.version(PREDICTIONS)
    Predict(Lake(live.lake.spark, live.lake.settings), live.clock).drain()
    assert live.lake.version(PREDICTIONS) == versions
    keys = [tuple(r[c] for c in PREDICTIONS.key) for r in live.rows()]
    assert len(keys) == len(set(keys)) == SYMBOLS * 17


def test_a_stored_prediction_is_never_changed_by_a_corrected_bar(live: Market) -> None:
    step = Predict(live.lake, live.clock)
    step.drain()
    before = live.rows()
    last = live.bars.filter(between(FIRST - 1, FIRST - 1))
    live.lake.upsert(ONE_MINUTE_BARS, last.set_column(last.schema.get_field_index("close"), "close", last["high"]))
    assert step.drain() == 1
    assert live.rows() == before


def test_a_restart_goes_on_from_the_mark_and_settles_what_was_pending(live: Market) -> None:
    Predict(live.lake, live.clock).drain()
    pending = {(r["symbol"], r["minute"]) for r in live.rows("pending")}
    assert pending
    live.close(FIRST, FIRST + 20, without="C02-USDT")
    restarted = Predict(Lake(live.lake.spark, live.lake.settings), live.clock)
    assert restarted.drain() == 1
    settled = {(r["symbol"], r["minute"]): r for r in live.rows("matured", "expired")}
    assert pending <= settled.keys()
    # It did not trade any more: what is known is the last close before the target, or nothing.
    newest = settled[("C02-USDT", instant(FIRST - 1))]
    assert (newest["label_status"], newest["actual_price"], newest["correct"]) == ("expired", None, None)
    assert settled[("C02-USDT", instant(FIRST - 3))]["actual_price"] == live.close_price("C02-USDT", FIRST - 1)
    minutes = {r["minute"] for r in live.rows() if r["symbol"] == "BTC-USDT"}
    assert minutes == {instant(m) for m in [*range(FIRST - 11, FIRST), *range(FIRST + 10, FIRST + 21)]}


def test_without_a_champion_the_mark_waits_for_one(
    spark: SparkSession, bars: pa.Table, trained_home: Settings, tmp_path: Path
) -> None:
    empty = Market(Lake(spark, load_settings(home=tmp_path / "new", ml=ML)), bars)
    empty.close(FIRST - 40, FIRST - 1)
    step = Predict(empty.lake, empty.clock)
    assert step.drain() == 0
    assert empty.rows() == []
    given = {"tracking_uri": Registry(trained_home).tracking_uri}
    settings = load_settings(home=tmp_path / "new", ml=ML, mlflow=given)
    assert Predict(Lake(spark, settings), empty.clock).drain() == 2
    assert len(empty.rows()) == SYMBOLS * 11


def test_a_new_champion_is_taken_up_and_predicts_under_its_own_version(live: Market, trained_home: Settings) -> None:
    step = Predict(live.lake, live.clock)
    step.drain()
    before = Registry(trained_home).champion("direction_forest")
    report = train(Lake(live.lake.spark, trained_home), trained_home)
    live.close(FIRST, FIRST)
    step.drain()
    made = live.rows(minute=FIRST)
    assert {r["model_version"] for r in made} == {report.model.version}
    assert before is not None
    assert report.model.version != before.version
