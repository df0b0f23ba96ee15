"""The models and where they are registered."""

from __future__ import annotations

from lakehouse.settings.section import Section


class MlSettings(Section):
    """The models: features, training, and the predict step."""

    model_name: str
    horizon_s: int
    lookback_minutes: int
    gap_tolerance_minutes: int
    market_symbol: str
    train_minutes: int
    test_share: float
    min_training_rows: int
    trees: int
    depth: int
    seed: int
    predict_back_minutes: int
    expires_after_s: int
    label_grace_minutes: int
    live_score_interval_s: float
    live_score_minutes: int


class MlflowSettings(Section):
    """Tracking and registry: SQLite and a folder under the home when tracking_uri is empty."""

    tracking_uri: str | None
    experiment: str
