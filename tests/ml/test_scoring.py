from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score

from ml.scoring import score


def made_rows(seed: int, skill: float, rows: int = 4000) -> pd.DataFrame:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    move = rng.choice(["up", "down", "flat"], rows, p=[0.5, 0.45, 0.05])
    up = (move == "up").astype(float)
    return pd.DataFrame(
        {
            "venue": "binance",
            "symbol": rng.choice(["BTC-USDT", "ETH-USDT"], rows),
            "feature_time_s": 1_722_470_400 + 60 * np.arange(rows),
            "move": move,
            "probability": np.round(np.clip(0.5 + skill * (up - 0.5) + 0.1 * rng.standard_normal(rows), 0, 1), 3),
            "baseline_majority": "up",
            "baseline_last_direction": rng.choice(["up", "down"], rows),
        }
    )


def test_scores_equal_an_independent_computation_on_the_same_rows() -> None:
    rows = made_rows(1, skill=0.1)
    found = {(s.symbol, s.metric): s for s in score(rows, train_up_share=0.52, horizon_s=360)}
    for symbol in ("*", "BTC-USDT"):
        part = rows[(rows.move != "flat") & ((symbol == "*") | (rows.symbol == symbol))]
        up, last = part.move == "up", part.baseline_last_direction == "up"
        accuracy, auc, brier = (found[(symbol, m)] for m in ("accuracy", "auc", "brier"))
        assert accuracy.value == pytest.approx(accuracy_score(up, part.probability >= 0.5))
        assert accuracy.baseline_majority == pytest.approx(up.mean())
        assert accuracy.baseline_last_direction == pytest.approx(accuracy_score(up, last))
        assert auc.value == pytest.approx(roc_auc_score(up, part.probability))
        assert auc.baseline_majority == 0.5
        assert brier.value == pytest.approx(brier_score_loss(up, part.probability))
        assert brier.baseline_majority == pytest.approx(brier_score_loss(up, np.full(len(part), 0.52)))
        assert accuracy.n == len(part)
        assert accuracy.base_rate == pytest.approx(up.mean())
    assert found[("*", "accuracy")].ties == (rows.move == "flat").sum()


def test_the_interval_of_the_margin_tells_skill_from_none() -> None:
    skilled = score(made_rows(2, skill=0.2), train_up_share=0.5, horizon_s=360)[0]
    assert skilled.margin_low is not None
    assert skilled.margin_low > 0
    lucky = score(made_rows(3, skill=0.0), train_up_share=0.5, horizon_s=360)[0]
    assert lucky.margin_low is not None
    assert lucky.margin_low < 0


def test_groups_that_never_moved_have_no_score() -> None:
    rows = made_rows(4, skill=0.0, rows=50).assign(move="flat")
    assert score(rows, train_up_share=0.5, horizon_s=360) == []
