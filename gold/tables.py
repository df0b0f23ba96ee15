"""The tables of gold: predictions, how good they were, and alerts of what was found wrong."""

from __future__ import annotations

from pyspark.sql.types import (
    BooleanType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructType,
    TimestampType,
)

from lakehouse.table import Table, column
from silver.contracts.columns import CHANGE_PCT, PRICE

PREDICTIONS = Table(
    name="gold.predictions",
    comment="What each model said at each closed minute, what its baselines said, and what came of it.",
    schema=StructType(
        [
            column("model_name", StringType(), "registered name of the model"),
            column("model_version", StringType(), "its version in the registry"),
            column("venue", StringType(), "the market"),
            column("symbol", StringType(), "canonical BASE-QUOTE"),
            column("minute", TimestampType(), "start of the last bar used (UTC); joins to silver.one_minute_bars"),
            column("feature_time", TimestampType(), "end of the last bar used (UTC): nothing later was known"),
            column("horizon_s", IntegerType(), "how far ahead the prediction looks, seconds"),
            column("target_time", TimestampType(), "feature_time + horizon_s: the instant that is predicted (UTC)"),
            column("predicted_at", TimestampType(), "when the prediction was made (UTC, us)"),
            column("expires_at", TimestampType(), "not to be acted on from here (UTC)"),
            column("prediction", DoubleType(), "the predicted class: 1 = higher at target_time, 0 = lower"),
            column("probability", DoubleType(), "the model's probability of class 1"),
            column("confidence", DoubleType(), "probability of the predicted class, 0.5 to 1"),
            column("direction", StringType(), "prediction in words: up or down"),
            column("price", PRICE, "close of the last bar used, quote units"),
            column("predicted_price", PRICE, "predicted price; null for a model that predicts a direction only"),
            column("baseline_majority", StringType(), "up or down: the commoner class of the training rows"),
            column("baseline_last_direction", StringType(), "up or down: the last horizon's direction goes on"),
            column("actual_price", PRICE, "close of the symbol's last bar in (feature_time, target_time]"),
            column("actual_change", CHANGE_PCT, "100 x (actual_price / price - 1), percent, half up"),
            column("correct", BooleanType(), "direction came true; null until matured, and for a tie"),
            column("label_status", StringType(), "pending, matured, expired (no trade), backfilled (not scored)"),
            column("settled_at", TimestampType(), "when the row became matured or expired (UTC, us)"),
            column("model_role", StringType(), "champion or challenger"),
        ]
    ),
    key=("model_name", "model_version", "venue", "symbol", "feature_time"),
    writer="predict",
    cluster_by=("feature_time", "symbol"),
    constraints={
        "probability": "probability BETWEEN 0 AND 1",
        "label_status": "label_status IN ('pending', 'matured', 'expired', 'backfilled')",
    },
)

MODEL_SCORES = Table(
    name="gold.model_scores",
    comment="Every score of a model beside its baselines' on the very same rows; one row a metric.",
    schema=StructType(
        [
            column("model_name", StringType(), "registered name of the model"),
            column("model_version", StringType(), "its version in the registry"),
            column("run_id", StringType(), "MLflow run that trained it"),
            column("split", StringType(), "test: held out in time at training; live: matured predictions"),
            column("venue", StringType(), "the market; * for all together"),
            column("symbol", StringType(), "canonical BASE-QUOTE; * for all together"),
            column("metric", StringType(), "accuracy, auc or brier"),
            column("value", DoubleType(), "the model's score"),
            column("baseline_majority", DoubleType(), "the score of always saying the training rows' commoner class"),
            column("baseline_last_direction", DoubleType(), "the score of saying the last horizon's direction again"),
            column("n", LongType(), "rows scored: the price moved"),
            column("ties", LongType(), "further rows, not scored: the price stood still"),
            column("base_rate", DoubleType(), "share of the scored rows that went up"),
            column("margin", DoubleType(), "how much better than the better baseline; negative is worse"),
            column("margin_low", DoubleType(), "accuracy: lower end of the margin's 95 % interval, clustered in time"),
            column("margin_high", DoubleType(), "accuracy: upper end of that interval; zero inside it: no skill shown"),
            column("from_time", TimestampType(), "first feature_time scored (UTC)"),
            column("to_time", TimestampType(), "last feature_time scored (UTC)"),
            column("scored_at", TimestampType(), "when it was computed (UTC, us)"),
        ]
    ),
    key=("model_name", "model_version", "split", "venue", "symbol", "metric", "scored_at"),
    writer="predict",
    append_only=True,
)

ALERTS = Table(
    name="gold.alerts",
    comment="What was found wrong, from when it was raised until it was right again.",
    schema=StructType(
        [
            column("alert_id", StringType(), "names the alert (ULID)"),
            column("alert_key", StringType(), "source and check: of each, one alert is open at a time"),
            column("source", StringType(), "who looked: audit"),
            column("check_name", StringType(), "the check that failed"),
            column("severity", StringType(), "error: a figure or a row is wrong; warning: it could not be told"),
            column("what", StringType(), "what should hold"),
            column("count", LongType(), "how many rows, offsets or minutes broke it when it was last seen to fail"),
            column("examples", StringType(), "a few of those, a JSON list of texts"),
            column("window_from", TimestampType(), "start of what was looked at (UTC, us); null for the whole lake"),
            column("window_to", TimestampType(), "end of what was looked at when it was last seen to fail (UTC, us)"),
            column("raised_at", TimestampType(), "when it was first seen to fail (UTC, us)"),
            column("last_seen_at", TimestampType(), "when it was last seen to fail (UTC, us)"),
            column("status", StringType(), "open or resolved"),
            column("resolved_at", TimestampType(), "when the check passed again over all of that (UTC, us)"),
        ]
    ),
    key=("alert_id",),
    writer="audit",
    properties={"delta.checkpointInterval": "100"},
    by_owner=False,
)

TABLES = (PREDICTIONS, MODEL_SCORES, ALERTS)
