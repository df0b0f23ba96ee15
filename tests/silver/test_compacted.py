"""Steps go on over a compaction of the tables they read as if there had been none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
from bronze_frames import Bronze
from made_frames import GOOD, MS, binance

from bronze.tables import FRAMES
from cryptolake.maintain import maintain
from lakehouse.lake import Lake
from silver.aggregate import Aggregate
from silver.refine import Refine
from silver.rows import Frame
from silver.tables import ONE_MINUTE_BARS, TRADES

CHANGES = ("read_changes", "few_changes", "select_changes")


def trade(trade_id: int) -> Frame:
    text = GOOD.decode().replace('"t":7', f'"t":{trade_id}').replace(str(MS), str(MS + trade_id))
    return replace(binance(), payload=text.encode())


@pytest.fixture
def aggregate(bronze: Bronze) -> Aggregate:
    bronze.lake.create(*Aggregate.writes)
    return Aggregate(bronze.lake)


def test_a_compaction_is_no_news(bronze: Bronze, aggregate: Aggregate, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = bronze.lake
    for trade_id in (1, 2, 3):
        bronze.carry([trade(trade_id)])
    aggregate.drain()
    aggregate.close_all()
    versions = [lake.version(table) for table in (FRAMES, TRADES)]
    list(maintain(lake, nullcontext))
    assert [lake.version(table) for table in (FRAMES, TRADES)] == [version + 1 for version in versions]

    # Else a batch would wait while it is read what has changed, or which ids there are.
    for read in CHANGES:
        monkeypatch.setattr(Lake, read, not_asked)
    monkeypatch.setattr("silver.high_water._SPANS", "SELECT read anew")
    version = bronze.land([trade(2), trade(4)])
    frames = lake.rows_where(FRAMES, [[("offset", ">=", 3)]])
    assert frames.num_rows == 2
    refined = bronze.refine.run(frames, version)
    assert refined.trades_version is not None
    aggregate.run(refined.trades, refined.trades_version)
    aggregate.close_all()
    assert [trade_id for (trade_id,) in bronze.trades("trade_id")] == [1, 2, 3, 4]
    assert [row["trade_count"] for row in lake.read(ONE_MINUTE_BARS).collect()] == [4]

    list(maintain(lake, nullcontext))
    monkeypatch.undo()
    for read in CHANGES:
        monkeypatch.setattr(Lake, read, not_asked)
    restarted = Lake(lake.spark, lake.settings)
    assert Refine(restarted).drain() == 0
    Aggregate(restarted).drain()


def not_asked(*_: object) -> Callable[[], None]:
    raise AssertionError("read anew")
