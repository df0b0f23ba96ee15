"""The predict step: every closed minute gets a prediction, and every prediction what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Row
from pyspark.sql import functions as f

from gold.tables import MODEL_SCORES, PREDICTIONS
from lakehouse.arrow import contract_schema, frame_of
from lakehouse.conditions import Condition, spanning
from lakehouse.faults import fault_point
from lakehouse.lake import Lake, Txn
from ml import baselines
from ml.champion import Champion, ChampionSource
from ml.features import BAR_COLUMNS, with_features
from ml.labels import DOWN, UP
from ml.live_scores import LiveScores
from ml.outcome import MINUTE, outcome
from ml.registry import CHAMPION
from silver.tables import ONE_MINUTE_BARS

Prediction = dict[str, Any]
Minute = tuple[str, str, datetime]

PENDING, BACKFILLED = "pending", "backfilled"
_NEWEST_MINUTES = "SELECT venue, max(minute) AS minute FROM {rows} GROUP BY venue"
# A minute's rows are few: compiling plans and splitting shuffles for them costs more than the work.
_SMALL_DATA_CONF = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
}


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


class Predict:
    """Predict on closed minutes with the champion, fill in what came of earlier predictions, and score them.

    A minute whose features are complete gets one row of each champion; minutes more than `predict_back_minutes` behind
    their venue's newest get none. Without a champion nothing is done and the mark stays, so that the last minutes get
    their predictions once one is trained. The rows still pending, and the minutes predicted lately, are read once and
    then kept in memory: only this process writes them.

    Args:
        lake: the lake.
        clock: the time that predictions are said to be made at.
    """

    name = "predict"
    reads = (ONE_MINUTE_BARS,)
    writes = (PREDICTIONS, MODEL_SCORES)

    def __init__(self, lake: Lake, clock: Callable[[], datetime] = utc_now) -> None:
        self._lake = lake.on(lake.spark.newSession())
        for key, value in _SMALL_DATA_CONF.items():
            self._lake.spark.conf.set(key, value)
        self._ml = lake.settings.ml
        self._back = timedelta(minutes=self._ml.predict_back_minutes)
        self._reach = timedelta(minutes=self._ml.lookback_minutes + self._ml.gap_tolerance_minutes)
        self._clock = clock
        self._champions = ChampionSource(lake.settings)
        self._scores = LiveScores(self._lake)
        self._seen: int | None = None
        self._newest: dict[str, datetime] = {}
        self._pending: list[Prediction] | None = None
        self._predicted: tuple[str, set[Minute]] | None = None

    def drain(self) -> int:
        """Carry what the bars hold beyond this step's mark; return how many of their versions were consumed."""
        if not self._lake.exists(ONE_MINUTE_BARS):
            return 0
        before = self._consumed()
        self.run(self._lake.version(ONE_MINUTE_BARS))
        return self._consumed() - before

    def run(self, version: int) -> int:
        """Predict on the bars of the last minutes as their table's `version` has them, and settle what is over.

        Returns:
            how many predictions were made.
        """
        champion = self._champions.current()
        if champion is None or self._consumed() >= version:
            return 0
        if self._pending is None:
            self._recall()
        bars = self._recent_bars()
        for row in bars.group_by("venue").aggregate([("minute", "max")]).to_pylist():
            self._newest[row["venue"]] = row["minute_max"]
        made = self._predict(champion, bars, version)
        self._seen = version
        if self._settle(bars):
            self._scores.write(champion, max(self._newest.values()), self._clock())
        return made

    def _consumed(self) -> int:
        """The version of the bars up to which all is done, -1 for none; one that gave no row is not marked on disk."""
        stored = self._lake.mark(PREDICTIONS, self._app_id())
        return max(v for v in (self._seen, stored, -1) if v is not None)

    def _app_id(self) -> str:
        return self._lake.app_id(PREDICTIONS, self.name, ONE_MINUTE_BARS)

    def _recall(self) -> None:
        """Read what an earlier process knew: each venue's newest minute, and the rows that are still pending."""
        ends = self._lake.select(ONE_MINUTE_BARS, _NEWEST_MINUTES)
        self._newest = {row["venue"]: row["minute"] for row in ends.to_pylist()}
        self._pending = self._lake.rows_where(PREDICTIONS, [[("label_status", "=", PENDING)]]).to_pylist()

    def _recent_bars(self) -> pa.Table:
        """The bars that features of the last minutes, and the outcomes of pending rows, are made of."""
        since = {venue: newest - self._back - self._reach for venue, newest in self._newest.items()}
        for row in self._pending or ():
            venue = row["venue"]
            since[venue] = min(row["feature_time"], since.get(venue, row["feature_time"]))
        wanted: list[Condition] = [[("venue", "=", venue), ("minute", ">=", time)] for venue, time in since.items()]
        if wanted:
            wanted.append([("venue", "not in", sorted(since))])
        return self._lake.rows_where(ONE_MINUTE_BARS, wanted).select(BAR_COLUMNS)

    def _predict(self, champion: Champion, bars: pa.Table, version: int) -> int:
        predicted = self._predicted_by(champion)
        minutes = zip(*(bars[name].to_pylist() for name in ("venue", "symbol", "minute")), strict=True)
        wanted = {m for m in minutes if m[2] >= self._newest[m[0]] - self._back} - predicted
        if not wanted:
            return 0
        first = min(minute for _, _, minute in wanted) - self._reach
        enough = bars.filter(pc.greater_equal(bars["minute"], pa.scalar(first, bars["minute"].type)))
        features = with_features(frame_of(self._lake.spark, enough), self._ml)
        said = champion.pipeline.transform(features).select(
            "venue",
            "symbol",
            f.unix_seconds("minute").alias("minute_s"),
            "price",
            vector_to_array(f.col("probability"))[1].alias("probability"),
            baselines.last_direction(champion.majority).alias("last_direction"),
        )
        now = self._clock()
        rows = [self._row(champion, row, now) for row in said.collect()]
        rows = [row for row in rows if _minute(row) in wanted]
        if rows:
            self._lake.append_rows(PREDICTIONS, _table(rows), Txn(self._app_id(), version))
            fault_point("after_predictions_commit")
        predicted.update(_minute(row) for row in rows)
        self._pending = [*(self._pending or ()), *(row for row in rows if row["label_status"] == PENDING)]
        return len(rows)

    def _predicted_by(self, champion: Champion) -> set[Minute]:
        """The minutes that have a prediction of this version already, as far back as any could be asked for."""
        model = champion.registered
        oldest = min(self._newest.values()) - self._back
        if self._predicted is None and self._lake.is_empty(PREDICTIONS):
            self._predicted = (model.version, set())
        if self._predicted is None or self._predicted[0] != model.version:
            of_model = [("model_name", "=", model.name), ("model_version", "=", model.version)]
            there = self._lake.rows_where(PREDICTIONS, [[*of_model, ("feature_time", ">=", oldest)]])
            rows = there.select(["venue", "symbol", "minute"]).to_pylist()
            self._predicted = (model.version, {_minute(row) for row in rows})
        for minute in [m for m in self._predicted[1] if m[2] < oldest]:
            self._predicted[1].discard(minute)
        return self._predicted[1]

    def _row(self, champion: Champion, said: Row, now: datetime) -> Prediction:
        minute = datetime.fromtimestamp(said["minute_s"], UTC)
        feature_time = minute + MINUTE
        target_time = feature_time + timedelta(seconds=champion.horizon_s)
        probability = said["probability"]
        up = probability >= 0.5
        return {
            "model_name": champion.registered.name,
            "model_version": champion.registered.version,
            "venue": said["venue"],
            "symbol": said["symbol"],
            "minute": minute,
            "feature_time": feature_time,
            "horizon_s": champion.horizon_s,
            "target_time": target_time,
            "predicted_at": now,
            "expires_at": feature_time + timedelta(seconds=self._ml.expires_after_s),
            "prediction": 1.0 if up else 0.0,
            "probability": probability,
            "confidence": max(probability, 1 - probability),
            "direction": UP if up else DOWN,
            "price": said["price"],
            "baseline_majority": champion.majority,
            "baseline_last_direction": said["last_direction"],
            "label_status": BACKFILLED if now > target_time else PENDING,
            "model_role": CHAMPION,
        }

    def _settle(self, bars: pa.Table) -> bool:
        """Merge in what came of the pending predictions whose horizon is over; say whether there were any."""
        closes: dict[tuple[str, str], dict[datetime, Decimal]] = {}
        for venue, symbol, minute, close in zip(
            *(bars[name].to_pylist() for name in ("venue", "symbol", "minute", "close")), strict=True
        ):
            closes.setdefault((venue, symbol), {})[minute] = close
        now = self._clock()
        due: list[Prediction] = []
        left: list[Prediction] = []
        for row in self._pending or ():
            newest = self._newest[row["venue"]]
            of_symbol = closes.get((row["venue"], row["symbol"]), {})
            found = outcome(row, of_symbol, newest, self._ml.label_grace_minutes)
            if found is None:
                left.append(row)
            else:
                due.append(row | asdict(found) | {"settled_at": now})
        if due:
            rows = _table(due)
            self._lake.upsert(PREDICTIONS, rows, within=spanning("feature_time", rows))
            fault_point("after_labels_commit")
        self._pending = left
        return bool(due)


def _table(rows: Sequence[Prediction]) -> pa.Table:
    return pa.Table.from_pylist(rows, contract_schema(PREDICTIONS))


def _minute(row: Prediction) -> Minute:
    return row["venue"], row["symbol"], row["minute"]
