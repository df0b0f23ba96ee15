"""The champion's matured predictions, scored beside their baselines now and then."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from pyspark.sql import functions as f

from gold.tables import MODEL_SCORES, PREDICTIONS
from lakehouse.arrow import frame_of
from lakehouse.lake import Lake
from ml.champion import Champion
from ml.labels import direction_of
from ml.outcome import MATURED
from ml.scoring import score, scores_rows

LIVE = "live"


class LiveScores:
    """Writes the rows of gold.model_scores whose split is live.

    Args:
        lake: the lake.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._ml = lake.settings.ml
        self._written_at: float | None = None

    def write(self, champion: Champion, newest: datetime, now: datetime) -> None:
        """Score the matured predictions of the last `live_score_minutes`, at most every `live_score_interval_s`.

        Args:
            champion: whose predictions.
            newest: the newest closed minute, from which the minutes are counted.
            now: the time to note on the scores.
        """
        if self._written_at is not None and time.monotonic() - self._written_at < self._ml.live_score_interval_s:
            return
        self._written_at = time.monotonic()
        model = champion.registered
        since = newest - timedelta(minutes=self._ml.live_score_minutes)
        matured = [
            ("feature_time", ">=", since),
            ("label_status", "=", MATURED),
            ("model_name", "=", model.name),
            ("model_version", "=", model.version),
        ]
        rows = (
            frame_of(self._lake.spark, self._lake.rows_where(PREDICTIONS, [matured]))
            .select(
                "venue",
                "symbol",
                f.unix_seconds("feature_time").alias("feature_time_s"),
                direction_of(f.col("actual_price") - f.col("price")).alias("move"),
                "probability",
                "baseline_majority",
                "baseline_last_direction",
            )
            .toPandas()
        )
        scores = score(rows, train_up_share=champion.train_up_share, horizon_s=champion.horizon_s)
        if scores:
            rows = scores_rows(
                scores,
                model_name=model.name,
                model_version=model.version,
                run_id=model.run_id,
                split=LIVE,
                scored_at=now,
            )
            self._lake.append_rows(MODEL_SCORES, rows)
