"""Scores of predictions beside those of their baselines, on the very same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from gold.tables import MODEL_SCORES
from lakehouse.arrow import contract_schema
from ml.labels import FLAT, UP

ALL = "*"
ACCURACY, AUC, BRIER = "accuracy", "auc", "brier"
SCORED_COLUMNS = (
    "venue",
    "symbol",
    "feature_time_s",
    "move",
    "probability",
    "baseline_majority",
    "baseline_last_direction",
)
# Neighbouring labels overlap and symbols move together: rows of five horizons are one observation of the interval.
_CLUSTER_HORIZONS = 5
_Z_95 = 1.959964

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One row of gold.model_scores without the model's name; see that table for the fields."""

    venue: str
    symbol: str
    metric: str
    value: float | None
    baseline_majority: float | None
    baseline_last_direction: float | None
    n: int
    ties: int
    base_rate: float
    margin: float | None
    margin_low: float | None
    margin_high: float | None
    from_time_s: int
    to_time_s: int


def score(rows: pd.DataFrame, *, train_up_share: float, horizon_s: int) -> list[Score]:
    """Score predictions: all together, then each symbol.

    Rows whose price stood still are ties: counted, and in no score, neither the model's nor a baseline's.

    Args:
        rows: SCORED_COLUMNS; move is up, flat or down, the baselines up or down, probability that of up.
        train_up_share: share of the training rows that went up: the majority baseline's probability, for Brier.
        horizon_s: how far ahead labels look.

    Returns:
        accuracy, auc and brier (in that order) of venue * and symbol *, then of each venue and symbol in turn; groups
        without a scored row have none.
    """
    groups: list[tuple[str, str, pd.DataFrame]] = [(ALL, ALL, rows)]
    groups += [(str(v), str(s), part) for (v, s), part in rows.groupby(["venue", "symbol"], sort=True)]
    return [s for v, sym, part in groups for s in _scores(v, sym, part, train_up_share, horizon_s)]


def _scores(venue: str, symbol: str, rows: pd.DataFrame, train_up_share: float, horizon_s: int) -> list[Score]:
    moved = rows[rows["move"] != FLAT]
    if moved.empty:
        return []
    up = _floats(moved["move"] == UP)
    probability = _floats(moved["probability"])
    majority = _floats(moved["baseline_majority"] == UP)
    last = _floats(moved["baseline_last_direction"] == UP)
    hits = [(said == up).astype(float) for said in ((probability >= 0.5).astype(float), majority, last)]
    better = hits[1] if hits[1].mean() >= hits[2].mean() else hits[2]
    cluster = moved["feature_time_s"].to_numpy(dtype=np.int64) // (_CLUSTER_HORIZONS * horizon_s)
    constant = np.full_like(up, train_up_share)
    values: dict[str, list[float | None]] = {
        ACCURACY: [float(h.mean()) for h in hits],
        AUC: [auc(up, said) for said in (probability, majority, last)],
        BRIER: [float(np.mean((said - up) ** 2)) for said in (probability, constant, last)],
    }
    half_width = _half_width(hits[0] - better, cluster)
    result: list[Score] = []
    for metric, (value, of_majority, of_last) in values.items():
        margin = _margin(metric, value, of_majority, of_last)
        low, high = None, None
        if metric == ACCURACY and margin is not None and half_width is not None:
            low, high = margin - half_width, margin + half_width
        result.append(
            Score(
                venue=venue,
                symbol=symbol,
                metric=metric,
                value=value,
                baseline_majority=of_majority,
                baseline_last_direction=of_last,
                n=len(moved),
                ties=len(rows) - len(moved),
                base_rate=float(up.mean()),
                margin=margin,
                margin_low=low,
                margin_high=high,
                from_time_s=int(rows["feature_time_s"].min()),
                to_time_s=int(rows["feature_time_s"].max()),
            )
        )
    return result


def _floats(column: pd.Series[Any]) -> Floats:
    return np.asarray(column, dtype=np.float64)


def auc(up: Floats, score_of_up: Floats) -> float | None:
    """The chance that a row that went up is scored above one that went down, ties counting half (Mann-Whitney).

    None where all rows went the same way.
    """
    ups, downs = int(up.sum()), int(len(up) - up.sum())
    if ups == 0 or downs == 0:
        return None
    ranks = pd.Series(score_of_up).rank().to_numpy()
    return float((ranks[up == 1].sum() - ups * (ups + 1) / 2) / (ups * downs))


def _margin(metric: str, value: float | None, of_majority: float | None, of_last: float | None) -> float | None:
    if value is None or of_majority is None or of_last is None:
        return None
    return min(of_majority, of_last) - value if metric == BRIER else value - max(of_majority, of_last)


def _half_width(differences: Floats, cluster: npt.NDArray[np.int64]) -> float | None:
    """Half the 95 % interval of a mean of rows that are alike within clusters; None for fewer than two clusters."""
    _, index = np.unique(cluster, return_inverse=True)
    sums = np.bincount(index, weights=differences - differences.mean())
    clusters = len(sums)
    if clusters < 2:
        return None
    variance = float(np.sum(sums**2)) * clusters / (clusters - 1) / len(differences) ** 2
    return float(_Z_95 * variance**0.5)


def scores_rows(
    scores: Sequence[Score],
    *,
    model_name: str,
    model_version: str,
    run_id: str,
    split: str,
    scored_at: datetime,
) -> pa.Table:
    """Return scores as rows of gold.model_scores."""
    known = {
        "model_name": model_name,
        "model_version": model_version,
        "run_id": run_id,
        "split": split,
        "scored_at": scored_at,
    }
    rows = [
        asdict(s)
        | known
        | {"from_time": datetime.fromtimestamp(s.from_time_s, UTC), "to_time": datetime.fromtimestamp(s.to_time_s, UTC)}
        for s in scores
    ]
    return pa.Table.from_pylist(rows, contract_schema(MODEL_SCORES))
