"""Views for BI tools: naive UTC times named `*_utc`, DECIMAL(18,8) or DOUBLE, no nested types.

Prices keep eight decimals; for every digit read silver.
"""

from __future__ import annotations

from gold.tables import ALERTS, MODEL_SCORES, PREDICTIONS
from lakehouse.view import Shape, View, ViewColumn, as_is, shaped, utc
from silver.tables import FIVE_MINUTE_BARS, ONE_MINUTE_BARS, PRICES, SIX_MINUTE_TRENDS, TICKERS

_BAR = (
    *shaped(Shape.PRICE, "open", "high", "low", "close", "average_price", "vwap"),
    *shaped(Shape.DOUBLE, "volume", "buy_volume", "amount"),
    *as_is("trade_count", "origin"),
)
_MINUTE = (ViewColumn("minute_utc", "minute", Shape.NAIVE_UTC), ViewColumn("date_utc", "minute", Shape.DATE_UTC))

BARS = View(
    "gold_bi.one_minute_bars",
    "One-minute bars.",
    ONE_MINUTE_BARS,
    (
        *as_is("venue", "symbol"),
        *_MINUTE,
        *_BAR,
    ),
)

FIVE_MINUTES = View(
    "gold_bi.five_minute_bars",
    "Five-minute bars.",
    FIVE_MINUTE_BARS,
    (
        *as_is("venue", "symbol"),
        *utc("window_start"),
        ViewColumn("date_utc", "window_start", Shape.DATE_UTC),
        *_BAR,
    ),
)

TRENDS = View(
    "gold_bi.six_minute_trends",
    "The mean of the average prices of the last six minutes.",
    SIX_MINUTE_TRENDS,
    (
        *as_is("venue", "symbol"),
        *_MINUTE,
        *shaped(Shape.PRICE, "average_price", "change_pct"),
        *as_is("minutes_present", "trend"),
    ),
)

TICKERS_VIEW = View(
    "gold_bi.tickers",
    "The venues' own statistics of 24 hours.",
    TICKERS,
    (
        *as_is("venue", "symbol"),
        *utc("close_time", "open_time"),
        *shaped(Shape.PRICE, "last_price", "price_change", "price_change_pct", "weighted_average_price"),
        *shaped(Shape.PRICE, "open_price", "high_price", "low_price", "bid_price", "ask_price"),
        *shaped(Shape.DOUBLE, "volume", "quote_volume"),
        *as_is("trade_count"),
    ),
)

PRICES_VIEW = View(
    "gold_bi.prices",
    "Prices in US dollars as price services state them.",
    PRICES,
    (
        *as_is("venue", "symbol"),
        *utc("updated_at", "received_at"),
        *shaped(Shape.PRICE, "price", "change_24h_pct"),
        *shaped(Shape.DOUBLE, "volume_24h", "market_cap"),
    ),
)

PREDICTIONS_VIEW = View(
    "gold_bi.predictions",
    "Every prediction with what came of it.",
    PREDICTIONS,
    (
        *as_is("model_name", "model_version", "model_role", "venue", "symbol"),
        *utc("feature_time", "target_time", "predicted_at"),
        *as_is("horizon_s", "direction"),
        *shaped(Shape.DOUBLE, "prediction", "probability", "confidence"),
        *shaped(Shape.PRICE, "price", "predicted_price", "actual_price", "actual_change"),
        *as_is("baseline_majority", "baseline_last_direction", "correct", "label_status"),
    ),
)

SCORES = View(
    "gold_bi.model_scores",
    "Every score of a model beside its baselines' on the very same rows.",
    MODEL_SCORES,
    (
        *as_is("model_name", "model_version", "split", "venue", "symbol", "metric"),
        *as_is("value", "baseline_majority", "baseline_last_direction", "n", "ties", "base_rate"),
        *as_is("margin", "margin_low", "margin_high"),
        *utc("from_time", "to_time", "scored_at"),
    ),
)

ALERTS_VIEW = View(
    "gold_bi.alerts",
    "What was found wrong, from when it was raised until it was right again.",
    ALERTS,
    (
        *as_is("alert_id", "source", "check_name", "severity", "what", "count", "examples", "status"),
        *utc("raised_at", "last_seen_at", "resolved_at", "window_from", "window_to"),
    ),
)

VIEWS = (BARS, FIVE_MINUTES, TRENDS, TICKERS_VIEW, PRICES_VIEW, PREDICTIONS_VIEW, SCORES, ALERTS_VIEW)
