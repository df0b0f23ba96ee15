from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import market
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from gold.tables import MODEL_SCORES
from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings
from ml.features import FEATURES
from ml.labels import with_labels
from ml.registry import Registry
from ml.split import TimeSplit
from ml.training import TrainingReport, train
from silver.tables import ONE_MINUTE_BARS

Training = Callable[[DataFrame], tuple[Lake, TrainingReport]]
SMALL = {"min_training_rows": 500, "trees": 10}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Where MLflow is: one database for all tests, because making it takes seconds."""
    return load_settings(home=tmp_path_factory.mktemp("registry"), ml=SMALL)


@pytest.fixture
def trained_on(spark: SparkSession, home: Settings, tmp_path: Path) -> Training:
    def run(bars: DataFrame) -> tuple[Lake, TrainingReport]:
        settings = home.model_copy(update={"home": tmp_path / "home"})
        lake = Lake(spark, settings)
        lake.create(ONE_MINUTE_BARS)
        lake.append(ONE_MINUTE_BARS, bars)
        return lake, train(lake, home)

    return run


def test_a_planted_signal_is_found_registered_and_scored_beside_its_baselines(
    spark: SparkSession, trained_on: Training, home: Settings
) -> None:
    lake, report = trained_on(market.bars(spark, seed=11, symbols=5, minutes=1500, signal=0.3))
    accuracy = report.accuracy
    assert accuracy.value > max(accuracy.baseline_majority, accuracy.baseline_last_direction) + 0.05
    assert report.verdict == "better than both baselines"
    stored = lake.read(MODEL_SCORES).where("symbol = '*' AND metric = 'accuracy'").collect()
    assert [(r["split"], r["value"], r["n"], r["model_version"]) for r in stored] == [
        ("test", accuracy.value, accuracy.n, report.model.version)
    ]
    per_symbol = lake.read(MODEL_SCORES).where("symbol != '*'").select("symbol").distinct().count()
    assert per_symbol == 5

    registry = Registry(home)
    champion = registry.champion("direction_forest")
    assert champion == report.model
    assert [type(s).__name__ for s in registry.load(champion).stages] == [
        "VectorAssembler",
        "RandomForestClassificationModel",
    ]
    import mlflow

    run = mlflow.MlflowClient(tracking_uri=registry.tracking_uri).get_run(champion.run_id)
    assert run.data.metrics["test_accuracy"] == pytest.approx(accuracy.value)
    assert run.info.artifact_uri.startswith((home.home / "mlflow" / "artifacts").resolve().as_uri())
    described = mlflow.models.get_model_info(f"{urlparse(run.info.artifact_uri).path}/model")
    assert [c.name for c in described.signature.inputs.inputs] == list(FEATURES)


def test_noise_is_reported_as_no_skill(spark: SparkSession, trained_on: Training) -> None:
    _, report = trained_on(market.bars(spark, seed=12, symbols=5, minutes=1500))
    assert abs(report.accuracy.value - report.accuracy.baseline_majority) < 0.05
    assert report.verdict != "better than both baselines"


def test_shuffled_targets_leave_no_skill(
    spark: SparkSession, trained_on: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(bars: DataFrame, horizon_s: int) -> DataFrame:
        up = f.abs(f.xxhash64("symbol", "minute")) % 2 == 0
        labels = with_labels(bars, horizon_s)
        return labels.withColumns({"move": f.when(up, "up").otherwise("down"), "label": up.cast("double")})

    monkeypatch.setattr("ml.training.with_labels", shuffled)
    _, report = trained_on(market.bars(spark, seed=11, symbols=5, minutes=1500, signal=0.3))
    auc = next(s for s in report.scores if s.metric == "auc" and s.symbol == "*")
    assert abs(auc.value - 0.5) < 0.05


def test_the_horizon_before_the_test_slice_is_purged(spark: SparkSession) -> None:
    split = TimeSplit(cutoff_s=6000, horizon_s=360)
    times = spark.createDataFrame([(t,) for t in range(0, 12_000, 60)], "s long")
    names = {r["s"]: r["name"] for r in times.select("s", split.slice_name(f.col("s")).alias("name")).collect()}
    assert names[6000 - 360] == "train"
    assert [names[t] for t in range(6000 - 300, 6000, 60)] == [None] * 5
    assert names[6000] == "test"
    last_label_s = max(t for t, name in names.items() if name == "train") + split.horizon_s
    assert last_label_s <= min(t for t, name in names.items() if name == "test")


def test_too_few_bars_say_what_to_do(spark: SparkSession, trained_on: Training, tmp_path: Path) -> None:
    with pytest.raises(CryptolakeError, match="cryptolake backfill klines"):
        trained_on(market.bars(spark, seed=1, symbols=1, minutes=60))
    empty = Lake(spark, load_settings(home=tmp_path / "other"))
    with pytest.raises(CryptolakeError, match="no bars"):
        train(empty, empty.settings)


def test_no_feature_gives_the_label_away(spark: SparkSession) -> None:
    from ml.features import with_features

    bars = market.bars(spark, seed=5, symbols=3, minutes=600)
    rows = (
        with_features(bars, load_settings().ml).join(with_labels(bars, 360), ["venue", "symbol", "minute"]).toPandas()
    )
    moved = rows.dropna(subset=["label"])
    for name in FEATURES:
        assert abs(np.corrcoef(moved[name], moved["label"])[0, 1]) < 0.3, name
