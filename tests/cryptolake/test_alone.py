"""Commands that write, on a home whose lake nobody runs: each becomes the owner, does its work and lets go."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cryptolake.reader import LakeReader
from cryptolake.requests import lake_owned
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from silver.tables import ONE_MINUTE_BARS

sys.path.append(str(Path(__file__).resolve().parents[1] / "ml"))
import market

SMALL = {
    "COLUMNS": "200",
    "CRYPTOLAKE__ML__TREES": "3",
    "CRYPTOLAKE__ML__DEPTH": "2",
    "CRYPTOLAKE__ML__MIN_TRAINING_ROWS": "500",
}
SYMBOLS, MINUTES = 2, 600


def said(settings: Settings, *arguments: str) -> str:
    command = [sys.executable, "-m", "cryptolake", "--home", str(settings.home), *arguments]
    done = subprocess.run(command, env=os.environ | SMALL, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert lake_owned(settings) is False
    return done.stdout


@pytest.mark.timeout(600)
def test_training_predicting_and_maintaining_need_no_running_lake(lake: Lake, settings: Settings) -> None:
    bars = market.bars(lake.spark, seed=3, symbols=SYMBOLS, minutes=MINUTES).toArrow()
    lake.create(ONE_MINUTE_BARS)
    lake.append_rows(ONE_MINUTE_BARS, bars.slice(0, 700))
    lake.append_rows(ONE_MINUTE_BARS, bars.slice(700))
    trained = said(settings, "train")
    assert "direction_forest version 1 is the champion, trained on" in trained
    assert "majority 0." in trained

    assert said(settings, "predict") == "predict: 3 consumed\n"
    reader = LakeReader(settings)
    rows = reader.rows("SELECT symbol, minute, model_version FROM predictions", predictions="gold.predictions")
    newest = datetime.fromtimestamp(market.START_S, UTC) + timedelta(minutes=MINUTES - 1)
    back = settings.ml.predict_back_minutes
    assert {row["minute"] for row in rows} == {newest - timedelta(minutes=age) for age in range(back + 1)}
    assert len(rows) == (back + 1) * SYMBOLS
    assert {row["model_version"] for row in rows} == {"1"}

    assert "silver.one_minute_bars" in said(settings, "maintain")
    assert reader.row_count("silver.one_minute_bars") == SYMBOLS * MINUTES
    assert reader.row_count("gold.predictions") == len(rows)
