"""Train a model on stored bars, score it on time it never saw, and make it the champion."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from gold.tables import MODEL_SCORES
from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.settings import MlSettings, Settings
from ml import baselines
from ml.features import BAR_COLUMNS, FEATURES, MINUTE_S, with_features
from ml.labels import DOWN, UP, with_labels
from ml.models import untrained
from ml.registry import RegisteredModel, Registry
from ml.scoring import ACCURACY, ALL, SCORED_COLUMNS, Score, score, scores_rows
from ml.split import TimeSplit
from silver.tables import ONE_MINUTE_BARS

_REMEDY = "Get more first, e.g. with `cryptolake backfill klines`, then train again."
_TRAIN, _TEST = "train", "test"
_NEWEST = "SELECT max(minute) AS minute FROM {rows}"
_BARS_OF_MINUTES = "SELECT minute, count(*) AS bars FROM {rows} GROUP BY minute ORDER BY minute"


@dataclass(frozen=True)
class TrainingReport:
    """What a training made.

    Args:
        model: the registered version, now the champion.
        train_rows: rows trained on: the price moved.
        train_ties: rows of the training slice left out: it stood still.
        train_up_share: share of train_rows that went up.
        majority: the commoner class of train_rows, up or down.
        cutoff: where the test slice begins (UTC).
        scores: those of the test slice, all together first.
        seconds: how long it took.
    """

    model: RegisteredModel
    train_rows: int
    train_ties: int
    train_up_share: float
    majority: str
    cutoff: datetime
    scores: Sequence[Score]
    seconds: float

    @property
    def accuracy(self) -> Score:
        """The accuracy of all symbols together, beside the baselines'."""
        return next(s for s in self.scores if s.symbol == ALL and s.metric == ACCURACY)

    @property
    def verdict(self) -> str:
        """In one sentence, whether the model beats its baselines on the test slice."""
        low, high = self.accuracy.margin_low, self.accuracy.margin_high
        if low is None or high is None:
            return "too little time to tell skill from luck"
        if low > 0:
            return "better than both baselines"
        return "worse than a baseline" if high < 0 else "no skill shown: the interval of its margin holds zero"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The report in plain lines, for the console."""
        a = self.accuracy
        return [
            f"{self.model.name} version {self.model.version} is the champion, trained on {self.train_rows:,} rows"
            f" in {self.seconds:.0f} s",
            f"test from {self.cutoff:%Y-%m-%d %H:%M} UTC: accuracy {a.value:.4f}, majority {a.baseline_majority:.4f},"
            f" last direction {a.baseline_last_direction:.4f} ({a.n:,} rows, {a.ties:,} ties)",
            self.verdict,
        ]


def train(lake: Lake, settings: Settings) -> TrainingReport:
    """Train the model that the settings name on the stored bars, and register it as champion.

    The newest `test_share` of the bars is the test slice; rows before it whose label looks into it are purged. Ties
    train nothing and score nothing; they are counted.

    Args:
        lake: where silver.one_minute_bars is, and gold.model_scores goes.
        settings: section ml, and where MLflow is.

    Raises:
        CryptolakeError: there are too few bars, or they only ever went one way.
    """
    started = time.monotonic()
    # A session of its own: the batches' confs of a MERGE at work must not reach these writes.
    lake = lake.on(lake.spark.newSession())
    registry = Registry(settings)
    with ThreadPoolExecutor(1) as beside:
        prepared = beside.submit(registry.prepare)
        trained = _trained(lake, settings.ml)
        prepared.result()
    registered = registry.register(
        trained.model,
        settings.ml.model_name,
        inputs=FEATURES,
        params=settings.ml.model_dump() | {"train_rows": trained.rows, "cutoff_s": trained.split.cutoff_s},
        metrics=_metrics(trained.scores),
        tags={
            "majority": trained.majority,
            "train_up_share": repr(trained.up_share),
            "horizon_s": str(settings.ml.horizon_s),
            "features": ",".join(FEATURES),
        },
    )
    _store(lake, registered, trained.scores)
    return TrainingReport(
        model=registered,
        train_rows=trained.rows,
        train_ties=trained.ties,
        train_up_share=trained.up_share,
        majority=trained.majority,
        cutoff=datetime.fromtimestamp(trained.split.cutoff_s, UTC),
        scores=trained.scores,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Trained:
    model: PipelineModel
    split: TimeSplit
    rows: int
    ties: int
    up_share: float
    majority: str
    scores: Sequence[Score]


def _trained(lake: Lake, settings: MlSettings) -> _Trained:
    pipeline = untrained(settings)
    bars, split = _bars_and_split(lake, settings)
    rows = _rows(bars, split, settings).persist()
    try:
        counts = {(r["slice"], r["move"]): r["count"] for r in rows.groupBy("slice", "move").count().collect()}
        _check(counts, settings)
        up, down = counts.get((_TRAIN, UP), 0), counts.get((_TRAIN, DOWN), 0)
        majority, up_share = baselines.majority(up, down), up / (up + down)
        model = pipeline.fit(rows.where((f.col("slice") == _TRAIN) & f.col("label").isNotNull()))
        tested = _predicted(model, rows.where(f.col("slice") == _TEST), majority)
    finally:
        rows.unpersist()
    scores = score(tested, train_up_share=up_share, horizon_s=settings.horizon_s)
    return _Trained(model, split, up + down, counts.get((_TRAIN, "flat"), 0), up_share, majority, scores)


def _bars_and_split(lake: Lake, settings: MlSettings) -> tuple[DataFrame, TimeSplit]:
    """The newest `train_minutes` of bars, and the instant before which all but `test_share` of them lie."""
    if not lake.exists(ONE_MINUTE_BARS):
        raise CryptolakeError("There are no bars to train on", _REMEDY)
    newest = lake.select(ONE_MINUTE_BARS, _NEWEST)["minute"][0].as_py()
    if newest is None:
        raise CryptolakeError("There are no bars to train on", _REMEDY)
    recent = [[("minute", ">=", newest - timedelta(minutes=settings.train_minutes - 1))]]
    minutes = lake.select(ONE_MINUTE_BARS, _BARS_OF_MINUTES, recent)
    cutoff = _reached(minutes, 1 - settings.test_share) + timedelta(seconds=MINUTE_S)
    split = TimeSplit(cutoff_s=int(cutoff.timestamp()), horizon_s=settings.horizon_s)
    return lake.read_where(ONE_MINUTE_BARS, recent).select(*BAR_COLUMNS), split


def _reached(minutes: pa.Table, share: float) -> datetime:
    """The first minute by which a share of all bars has come."""
    so_far = pc.cumulative_sum(minutes["bars"])
    first = int(pc.sum(pc.less(so_far, share * so_far[-1].as_py())).as_py())
    return minutes["minute"][first].as_py()  # type: ignore[no-any-return]


def _rows(bars: DataFrame, split: TimeSplit, settings: MlSettings) -> DataFrame:
    feature_time_s = f.unix_seconds("minute") + MINUTE_S
    labelled = with_features(bars, settings).join(with_labels(bars, settings.horizon_s), ["venue", "symbol", "minute"])
    rows = labelled.select("*", feature_time_s.alias("feature_time_s"), split.slice_name(feature_time_s).alias("slice"))
    return rows.where(f.col("slice").isNotNull())


def _check(counts: dict[tuple[str, str], int], settings: MlSettings) -> None:
    for name, least in ((_TRAIN, settings.min_training_rows), (_TEST, 1)):
        moved = [counts.get((name, move), 0) for move in (UP, DOWN)]
        if sum(moved) < least:
            raise CryptolakeError(
                f"Too few bars to train on: of the {name} slice {sum(moved)} have {settings.lookback_minutes} bars"
                f" before them and a move in the {settings.horizon_s} s after, {least} are needed",
                _REMEDY,
            )
        if name == _TRAIN and 0 in moved:
            raise CryptolakeError("All training rows went the same way: there is nothing to learn", _REMEDY)


def _predicted(model: PipelineModel, rows: DataFrame, majority: str) -> pd.DataFrame:
    said = model.transform(rows).select(
        "venue",
        "symbol",
        "feature_time_s",
        "move",
        vector_to_array(f.col("probability"))[1].alias("probability"),
        f.lit(majority).alias("baseline_majority"),
        baselines.last_direction(majority).alias("baseline_last_direction"),
    )
    return said.select(*SCORED_COLUMNS).toPandas()


def _metrics(scores: Sequence[Score]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for s in scores:
        if s.symbol == ALL:
            values = {
                f"test_{s.metric}": s.value,
                f"test_{s.metric}_majority": s.baseline_majority,
                f"test_{s.metric}_last_direction": s.baseline_last_direction,
                "test_rows": float(s.n),
                "test_ties": float(s.ties),
                "test_base_rate": s.base_rate,
            }
            metrics |= {name: value for name, value in values.items() if value is not None}
    return metrics


def _store(lake: Lake, model: RegisteredModel, scores: Sequence[Score]) -> None:
    lake.create(MODEL_SCORES)
    rows = scores_rows(
        scores,
        model_name=model.name,
        model_version=model.version,
        run_id=model.run_id,
        split=_TEST,
        scored_at=datetime.now(UTC),
    )
    lake.append_rows(MODEL_SCORES, rows)
