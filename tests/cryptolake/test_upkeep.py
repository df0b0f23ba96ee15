"""The owner tends its tables when they are due, a little at a time, and never what a step has still to read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from small_commits import SMALL, STEP, commit, kept_for, made_by_hand

from cryptolake.maintain import Maintained, maintain, show
from cryptolake.upkeep import Upkeep
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from silver.tables import SIX_MINUTE_TRENDS, TRADES


@pytest.fixture
def lake(settings: Settings) -> Lake:
    limits = {"enabled": True, "every_commits": 10, "every_s": 1e9, "fewest_files": 3, "budget_ms": 1}
    return made_by_hand(kept_for(settings, **limits), SMALL, SIX_MINUTE_TRENDS)


@pytest.fixture
def consumed(lake: Lake) -> Callable[[int], None]:
    """Says that aggregate has read the trades up to a version."""
    app_id = lake.app_id(SIX_MINUTE_TRENDS, "aggregate", TRADES)
    return lambda version: lake.advance(SIX_MINUTE_TRENDS, app_id, version)


def upkeep(lake: Lake) -> Upkeep:
    return Upkeep(lake, nullcontext, lambda: None)


def look_often(upkeep: Upkeep) -> None:
    for _ in range(200):
        upkeep.advance()


def file_count(lake: Lake) -> int:
    table = lake.past_spark(TRADES)
    assert table is not None
    return len(table.file_uris())


def test_a_table_is_tended_when_it_has_so_many_commits(lake: Lake, consumed: Callable[[int], None]) -> None:
    tending = upkeep(lake)
    commit(lake, range(9))
    consumed(9)
    look_often(tending)
    assert file_count(lake) == 9
    commit(lake, range(9, 10))
    consumed(10)
    look_often(tending)
    assert file_count(lake) == 1
    assert lake.mark(TRADES, STEP) == 10


def test_what_aggregate_has_not_read_is_left_alone(lake: Lake, consumed: Callable[[int], None]) -> None:
    tending = upkeep(lake)
    consumed(5)
    commit(lake, range(12))
    look_often(tending)
    assert file_count(lake) == 1 + 7
    consumed(12)
    commit(lake, range(12, 30))
    look_often(tending)
    assert file_count(lake) == 2 + 18


def test_versions_that_brought_a_step_nothing_are_marked_before(lake: Lake, consumed: Callable[[int], None]) -> None:
    commit(lake, range(12))
    tending = Upkeep(lake, nullcontext, lambda: consumed(12))
    commit(lake, range(12, 24))
    look_often(tending)
    assert file_count(lake) == 1 + 12


def test_upkeep_that_fails_does_not_stop_the_stream(
    lake: Lake, consumed: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    tending = upkeep(lake)
    commit(lake, range(12))
    consumed(12)
    next(lake.path(TRADES).glob("*.parquet")).write_bytes(b"damaged")
    look_often(tending)
    assert [record.getMessage()[:30] for record in caplog.records] == ["upkeep of silver.trades failed"]
    assert (file_count(lake), lake.version(TRADES)) == (12, 12)
    assert not list(lake.path(TRADES).glob("*.zstd.parquet"))


def test_maintain_tells_what_it_did(
    lake: Lake, consumed: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    commit(lake, range(23))
    consumed(23)
    done = [Maintained.of_json(one.as_json()) for one in maintain(lake)]
    assert [(one.table, one.before.files, one.after.files) for one in done] == [("silver.trades", 23, 1)]
    assert done[0].after.log_files < done[0].before.log_files
    assert (done[0].before.disk_files, done[0].after.disk_files) == (23, 1)
    show(done)
    assert "23 -> 1" in capsys.readouterr().out
