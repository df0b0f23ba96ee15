"""Audits beside a growing lake: alerts are raised once, resolved when it is right again, and kept for readers."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from growing_lake import PER_BLOCK, GrowingLake
from lake_by_hand import HandLake
from pyarrow.parquet import read_schema
from rich.console import Console

from cryptolake.audit.console import print_round, print_round_json
from cryptolake.audit.watch import READABLE, Round, Watch
from cryptolake.waiting import wait_until
from gold.tables import ALERTS
from lakehouse.errors import LakeLockedError
from lakehouse.settings import Settings, load_settings
from serving.sql import query
from silver.tables import SIX_MINUTE_TRENDS, TRADES


@pytest.fixture
def lake(tmp_path: Path) -> GrowingLake:
    lake = GrowingLake(tmp_path / "home")
    lake.grow()
    lake.commit()
    return lake


def settings_of(lake: HandLake, again_s: float = 0.0) -> Settings:
    settings = load_settings(home=lake.home)
    return settings.model_copy(update={"audit": settings.audit.model_copy(update={"again_s": again_s})})


def alerts(lake: HandLake) -> list[dict[str, Any]]:
    return query(load_settings(home=lake.home), "SELECT * FROM gold.alerts ORDER BY raised_at, check_name").to_pylist()


def lose_a_trade(lake: GrowingLake) -> dict[str, Any]:
    """Commit the newest block without one of its trades in silver, though its bar has it."""
    lost = next(t for t in lake.trades if t["trade_id"] == 1000 + (lake.blocks - 1) * PER_BLOCK + 20)
    lake.withheld.append(lost)
    lake.commit()
    return lost


def put_back(lake: GrowingLake, trade: dict[str, Any]) -> None:
    """What was lost reaches silver after all."""
    lake.append(TRADES, [trade])
    lake.append(SIX_MINUTE_TRENDS, [], lake.aggregate_mark(TRADES, lake.version(TRADES)))


def test_first_all_then_what_came_and_a_line_a_round(lake: GrowingLake) -> None:
    watch, out = Watch(settings_of(lake)), StringIO()
    console = Console(file=out, width=200)
    rounds = [watch.round()]
    lake.grow()
    lake.commit()
    rounds.append(watch.round())
    for done in rounds:
        print_round(done, console)
    first, second = out.getvalue().splitlines()
    assert "All 44 checks passed; 81 frames; " in first
    assert "checks passed for what came since 2024-08-09 00:05:02 UTC; 162 frames" in second
    assert not any(done.failed for done in rounds)
    assert alerts(lake) == []
    out.truncate(0)
    print_round_json(rounds[1], console)
    told = json.loads(out.getvalue().lstrip("\0"))
    assert told["audit"]["looked_at"]["whole"] is False
    assert told["audit"]["not_looked_at"]
    assert told["alerts"] == {"raised": [], "resolved": [], "open": 0}


def test_a_failure_raises_one_alert_until_it_is_right_again(lake: GrowingLake) -> None:
    watch = Watch(settings_of(lake))
    assert not watch.round().failed
    lake.grow()
    lost = lose_a_trade(lake)
    failed = watch.round()
    assert failed.failed
    assert failed.changes is not None
    assert failed.changes.raised == ("silver.trades complete", "bronze.frames batches", "silver.one_minute_bars values")
    raised = alerts(lake)
    (alert,) = (row for row in raised if row["check_name"] == "silver.trades complete")
    assert (alert["source"], alert["status"], alert["severity"]) == ("audit", "open", "error")
    assert (alert["count"], alert["resolved_at"]) == (1, None)
    assert str(lost["trade_key"]) in json.loads(alert["examples"])[0]
    assert alert["raised_at"] == alert["last_seen_at"] == alert["window_to"]
    assert alert["window_from"] is not None
    again = watch.round()  # looks again at what has failed
    assert again.failed
    assert again.changes is not None
    assert again.changes.raised == ()
    assert again.changes.open == 3
    seen = alerts(lake)
    assert [row["alert_id"] for row in seen] == [row["alert_id"] for row in raised]
    assert all(row["last_seen_at"] > row["raised_at"] for row in seen)
    put_back(lake, lost)
    done = watch.round()
    assert not done.failed
    assert done.changes is not None
    assert sorted(done.changes.resolved) == sorted(failed.changes.raised)
    told = alerts(lake)
    assert [(row["alert_id"], row["status"]) for row in told] == [(row["alert_id"], "resolved") for row in raised]
    assert all(row["resolved_at"] > row["last_seen_at"] for row in told)
    open_now = query(load_settings(home=lake.home), "SELECT count(*) AS n FROM gold_bi.alerts WHERE status = 'open'")
    assert open_now.to_pylist() == [{"n": 0}]


def test_a_round_that_does_not_look_at_a_failure_does_not_resolve_it(lake: GrowingLake) -> None:
    watch = Watch(settings_of(lake, again_s=3600))
    watch.round()
    lake.grow()
    lost = lose_a_trade(lake)
    assert watch.round().failed
    for _ in range(3):  # a round reaches back to the newest batch of the one before it
        lake.grow()
        lake.commit()
        done = watch.round()
        assert done.changes is not None
    assert not done.failed
    assert done.changes.resolved == ()
    opened = {row["check_name"] for row in alerts(lake)}
    assert done.changes.open == len(opened) == 4
    put_back(lake, lost)
    fresh = Watch(settings_of(lake, again_s=3600)).round()  # the whole lake
    assert fresh.changes is not None
    assert set(fresh.changes.resolved) == opened
    assert fresh.changes.open == 0


def test_the_same_check_failing_twice_is_one_alert_that_reaches_over_both(lake: GrowingLake) -> None:
    watch = Watch(settings_of(lake, again_s=3600))
    watch.round()
    for _ in range(2):
        lake.grow()
        lose_a_trade(lake)
        watch.round()
    found = [row for row in alerts(lake) if row["check_name"] == "silver.trades complete"]
    assert len(found) == 1
    assert found[0]["last_seen_at"] > found[0]["raised_at"]


def test_a_lake_that_cannot_be_read_is_an_alert_and_no_end(lake: GrowingLake) -> None:
    watch = Watch(settings_of(lake))
    watch.round()
    (file,) = lake.files(TRADES)
    kept = file.read_bytes()
    file.write_bytes(b"PAR1")
    watch = Watch(settings_of(lake))
    done = watch.round()
    assert done.failed
    assert "silver.trades cannot be read" in done.problem
    (alert,) = alerts(lake)
    assert (alert["check_name"], alert["severity"], alert["status"]) == (READABLE, "warning", "open")
    file.write_bytes(kept)
    done = watch.round()
    assert not done.failed
    assert done.changes is not None
    assert done.changes.resolved == (READABLE,)


def test_a_home_without_tables_is_waited_for(tmp_path: Path) -> None:
    done = Watch(load_settings(home=tmp_path)).round()
    assert not done.failed
    assert "nothing to audit" in done.problem
    assert not (tmp_path / "lake" / "gold").exists()


def test_rounds_go_on_until_they_are_stopped(lake: GrowingLake) -> None:
    watch, stop = Watch(settings_of(lake)), threading.Event()
    told: list[Round] = []

    def tell(done: Round) -> None:
        told.append(done)
        if len(told) == 1:
            lake.grow()
            lose_a_trade(lake)
        if len(told) == 3:
            stop.set()

    watch.run(0.05, tell, stop)
    assert [done.failed for done in told] == [False, True, True]
    assert not watch.clean


def test_beside_a_writer_nothing_fails_and_nothing_is_left_out(lake: GrowingLake) -> None:
    """Rounds pin the tables at any moment between two commits of a block."""
    watch, frames, rounds = Watch(settings_of(lake)), len(lake.frames), 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [(lake.grow(), lake.commit()) for _ in range(6)])
        while not writing.done() or rounds == 0:
            done, rounds = watch.round(), rounds + 1
            assert done.report is not None, done.problem
            assert [f"{check.name}: {check.examples}" for check in done.report.failed] == []
        writing.result()
    assert len(lake.frames) == 7 * frames
    print(f"{rounds} rounds beside 6 blocks")
    lake.grow()
    lose_a_trade(lake)
    assert watch.round().failed  # that of the last block, and so of any


def test_two_audits_do_not_write_alerts_at_once(lake: GrowingLake) -> None:
    settings = settings_of(lake)
    hasty = settings.model_copy(update={"audit": settings.audit.model_copy(update={"alert_lock_timeout_s": 0.2})})
    Watch(hasty).round()
    with (lake.home / "lake" / "gold" / ".alerts.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LakeLockedError, match="Another check"):
            Watch(hasty).round()


def test_the_table_of_alerts_is_the_one_that_the_contract_names(lake: GrowingLake) -> None:
    lake.grow()
    lose_a_trade(lake)
    Watch(settings_of(lake)).round()
    table = DeltaTable(str(lake.home / "lake" / "gold" / "alerts"))
    held = {field.name: (field.type.type, field.metadata["comment"]) for field in table.schema().fields}
    wanted = {field.name: (field.dataType.typeName(), field.metadata["comment"]) for field in ALERTS.schema}
    assert list(held) == ALERTS.columns
    assert held == wanted
    # pyarrow and DuckDB cannot filter by string views, which delta-rs leaves behind where it merges.
    assert {str(kind) for file in table.file_uris() for kind in read_schema(file).types} == {
        "string", "int64", "timestamp[us, tz=UTC]",
    }  # fmt: skip


@pytest.mark.parametrize(("broken", "number"), [(False, signal.SIGTERM), (True, signal.SIGINT)])
def test_the_command_ends_cleanly_and_says_whether_all_was_well(
    lake: GrowingLake, broken: bool, number: signal.Signals
) -> None:
    if broken:
        lake.grow()
        lose_a_trade(lake)
    log = lake.home.parent / "watch.log"
    arguments = ["--home", str(lake.home), "audit", "--watch", "--every", "1", "--json"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cryptolake", *arguments], stdout=out, stderr=subprocess.PIPE, env={**os.environ}
        )
        try:
            assert wait_until(lambda: log.read_text().count("\n") >= 2 or process.poll() is not None, 120)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == int(broken)
    assert errors == b""
    first, second, *_ = map(json.loads, log.read_text().splitlines())
    assert first["audit"]["looked_at"]["whole"]
    assert not second["audit"]["looked_at"]["whole"]
    assert not list((lake.home / "tmp").iterdir())
