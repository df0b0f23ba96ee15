"""What is looked up in silver.trades for a batch that is not all new: as little as will do, and all that is needed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

import pytest
from bronze_frames import Bronze, counts
from deltalake import DeltaTable
from made_frames import MS
from test_refine import trade

from lakehouse.lake import Lake
from silver.tables import TRADES

HOUR_MS = 3_600_000


@pytest.fixture(params=["in memory", "by Spark"])
def bronze(request: pytest.FixtureRequest, new_bronze: Callable[[str], Bronze]) -> Bronze:
    """Bronze whose batches are refined in one of the two ways."""
    lake = new_bronze("one").lake
    few = {"in memory": 1_000, "by Spark": 0}[request.param]
    limits = lake.settings.lake.model_copy(update={"few_frames": few})
    return Bronze(Lake(lake.spark, lake.settings.model_copy(update={"lake": limits})))


def test_late_trades_and_copies_open_no_files_of_other_times(bronze: Bronze) -> None:
    old = [trade(1), trade(2), trade(1_000, time=MS + 1)]
    assert bronze.carry(old).counts == counts(frames=3, trades=3)
    assert bronze.carry([trade(100, time=MS + HOUR_MS), trade(103, time=MS + HOUR_MS)]).counts["trades"] == 2
    table = DeltaTable(str(bronze.lake.path(TRADES)))
    first = table.get_add_actions(flatten=True)
    name = next(
        path
        for path, most in zip(first["path"].to_pylist(), first["max.trade_id"].to_pylist(), strict=True)
        if most == 1_000
    )
    file = bronze.lake.path(TRADES) / unquote(name)
    away = file.rename(file.with_suffix(".away"))
    batch = [
        trade(102, time=MS + HOUR_MS),  # below the highest id, and known to be missing
        trade(100, time=MS + HOUR_MS),
        trade(100, time=(MS + HOUR_MS) * 1_000 + 7),  # a dump carries microseconds
    ]
    assert bronze.carry(batch).counts == counts(frames=3, trades=1, copies=2)
    away.rename(file)


def test_a_copy_that_tells_another_time_is_a_copy_all_the_same(bronze: Bronze) -> None:
    bronze.carry([trade(1), trade(2), trade(3)])
    bronze.carry([trade(9, time=MS + HOUR_MS)])
    found = bronze.carry([trade(2, time=MS + HOUR_MS), trade(3, "1.6", time=MS + HOUR_MS), trade(9, time=MS + HOUR_MS)])
    assert found.counts == counts(frames=3, copies=2, quarantined=1)
    assert bronze.trades("trade_key") == [("1",), ("2",), ("3",), ("9",)]
