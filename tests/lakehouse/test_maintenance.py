"""Upkeep changes no row, loses no mark, and takes nothing away that somebody still reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from small_commits import PRICE, SMALL, START, STEP, commit, kept_for, made_by_hand, tend, trade

from cryptolake.reader import LakeReader
from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake, Txn
from lakehouse.maintenance.grouping import DataFile, Worth, next_group
from lakehouse.maintenance.log_folder import LogFile, cut
from lakehouse.maintenance.tending import Tending
from lakehouse.marks import marks_in
from lakehouse.settings import Settings
from silver.tables import TRADES

REPO_ROOT = Path(__file__).resolve().parents[2]
KEYS = [str(number) for number in range(23)]


def keys_of(rows: pa.Table) -> list[str]:
    return sorted(rows["trade_key"].to_pylist(), key=int)


def spark_keys(lake: Lake, condition: str = "true") -> list[str]:
    return sorted((row["trade_key"] for row in lake.read(SMALL).where(condition).collect()), key=int)


def test_every_reader_goes_on_where_small_files_and_old_commits_have_gone(
    spark: SparkSession, settings: Settings
) -> None:
    lake = Lake(spark, kept_for(settings))
    lake.create(SMALL)
    commit(lake, range(7))
    reader, loaded = LakeReader(settings), DeltaTable(str(lake.path(SMALL)))
    assert len(spark_keys(lake)) == reader.row_count(SMALL.name) == loaded.count() == 7  # they keep what they have seen
    commit(lake, range(7, 23))
    tended = tend(lake)
    assert (tended.footprint().files, tended.footprint().disk_files) == (1, 1)
    log = sorted(path.name for path in (lake.path(SMALL) / "_delta_log").glob("0*"))
    assert log[0] == f"{14:020d}.checkpoint.parquet"  # the newest but one: 23 commits, a checkpoint every five

    assert spark_keys(lake) == KEYS
    assert spark_keys(lake, f"price = {PRICE - 3} AND event_time = TIMESTAMP '2024-08-09 00:00:03.452789'") == ["3"]
    assert reader.row_count(SMALL.name) == 23
    loaded.update_incremental()
    assert keys_of(loaded.to_pyarrow_table()) == KEYS
    with duckdb.connect() as connection:
        connection.register("trades", DeltaTable(str(lake.path(SMALL))).to_pyarrow_dataset())
        found = connection.sql(f"SELECT trade_key FROM trades WHERE symbol = 'S1-USDT' AND price > {PRICE - 5}")  # noqa: S608
        assert sorted(found.fetchall()) == [("1",), ("4",)]
    assert keys_of(lake.rows_where(SMALL, [[("event_time", "=", trade(22)["event_time"])]])) == ["22"]
    assert lake.rows_where(SMALL, [[("event_time", "<", START)]]).num_rows == 0

    again = Lake(spark, lake.settings)
    assert again.mark(SMALL, STEP) == 23
    assert again.append_rows(SMALL, pa.Table.from_pylist([trade(22)], contract_schema(SMALL)), Txn(STEP, 23)) is None
    commit(again, range(23, 25))
    spark.sql(f"OPTIMIZE {lake.identifier(SMALL)}")
    assert spark_keys(again) == [*KEYS, "23", "24"]
    stored = lake.read(SMALL).where("trade_id = 3").select(*trade(3)).toArrow()
    assert stored.to_pylist() == [trade(3)]


def test_an_old_version_is_read_for_as_long_as_its_files_are_kept(settings: Settings) -> None:
    lake = made_by_hand(kept_for(settings, keep_files_s=3600.0))
    commit(lake, range(23))
    for path in lake.path(SMALL).glob("*.parquet"):
        os.utime(path, (1, 1))  # written long ago, but needed until now
    pinned = DeltaTable(str(lake.path(SMALL)))
    tended = tend(lake)
    assert (tended.footprint().files, tended.footprint().disk_files) == (1, 24)
    commit(lake, range(23, 40))
    tend(lake)
    assert keys_of(pinned.to_pyarrow_table()) == KEYS
    past = Lake(None, kept_for(settings))  # type: ignore[arg-type]
    assert tend(past).footprint().disk_files == 1


def test_what_a_step_has_still_to_read_stays_as_it_was_written(spark: SparkSession, settings: Settings) -> None:
    lake = Lake(spark, kept_for(settings))
    lake.create(SMALL)
    commit(lake, range(23))
    assert tend(lake, first_unread=13).footprint().files == 1 + 11  # versions 13 to 23, and 12 older ones as one
    changes = lake.read_changes(SMALL, 12, lake.version(SMALL)).select("trade_key", "_commit_version").collect()
    unread = [(number + 1, str(number)) for number in range(12, 23)]
    assert sorted((row[1], row[0]) for row in changes) == unread
    few = lake.few_changes(SMALL, 12, lake.version(SMALL))
    assert few is not None
    assert sorted(zip(*(few[name].to_pylist() for name in ("_commit_version", "trade_key")), strict=True)) == unread
    assert not lake.unchanged(SMALL, 22, lake.version(SMALL))
    assert lake.unchanged(SMALL, 23, lake.version(SMALL))


def test_a_table_of_before_is_told_what_is_kept_now(spark: SparkSession, settings: Settings) -> None:
    lake = made_by_hand(kept_for(settings, keep_files_s=60.0))
    commit(lake, range(3))
    Lake(spark, kept_for(settings, keep_files_s=120.0)).create(SMALL)
    table = DeltaTable(str(lake.path(SMALL)))
    assert table.metadata().configuration["delta.deletedFileRetentionDuration"] == "interval 120 seconds"
    assert table.protocol().min_reader_version == 1
    assert marks_in(table.history(1)[0]["userMetadata"]) == {STEP: 3}


@pytest.mark.parametrize(("enabled", "by_writer"), [(True, 1), (False, 13)])
def test_the_upkeep_makes_checkpoints_so_that_writers_need_not(
    settings: Settings, enabled: bool, by_writer: int
) -> None:
    lake = made_by_hand(kept_for(settings, enabled=enabled, every_commits=2), TRADES)
    log = lake.path(TRADES) / "_delta_log"
    for number in range(25):
        lake.append_rows(TRADES, pa.Table.from_pylist([trade(number)], contract_schema(TRADES)), Txn(STEP, number + 1))
    assert len(list(log.glob("*.checkpoint.parquet"))) == by_writer  # of 25 commits: at the 20th, or at every second
    for _ in Tending(lake, TRADES, nullcontext, lambda: 0).steps(Worth.at_once):
        pass
    assert json.loads((log / "_last_checkpoint").read_text())["version"] == lake.version(TRADES)


def test_files_are_not_deleted_while_a_step_is_further_behind_than_they_are_kept(settings: Settings) -> None:
    lake = made_by_hand(kept_for(settings))
    commit(lake, range(23))
    assert tend(lake, first_unread=13).footprint().disk_files == 12 + 12


def test_a_file_that_is_about_to_be_committed_is_not_deleted(settings: Settings) -> None:
    lake = made_by_hand(kept_for(settings, keep_files_s=60.0))
    commit(lake, range(3))
    folder = lake.path(SMALL)
    (folder / "part-young.parquet").write_bytes(b"")
    (folder / "part-left-by-a-crash.parquet").write_bytes(b"")
    os.utime(folder / "part-left-by-a-crash.parquet", (1, 1))
    tend(lake)
    assert {path.name for path in folder.glob("part-[yl]*")} == {"part-young.parquet"}


def test_marks_survive_a_cut_behind_commits_that_have_none(settings: Settings) -> None:
    lake = made_by_hand(kept_for(settings))
    commit(lake, range(1))
    table = DeltaTable(str(lake.path(SMALL)))
    for number in range(30):
        table.alter.set_table_properties({"delta.appendOnly": ("true", "false")[number % 2]})
    tend(lake)
    log = sorted((lake.path(SMALL) / "_delta_log").glob("*.json"))
    assert int(log[0].stem) > 20
    assert Lake(None, settings).mark(SMALL, STEP) == 1  # type: ignore[arg-type]


def test_batches_are_kept_out_of_commits_and_deletions_only(settings: Settings) -> None:
    lake = made_by_hand(kept_for(settings, deleted_at_once=4))
    commit(lake, range(23))
    seen: list[tuple[int, int, int]] = []
    before = after = state(lake)

    @contextmanager
    def hold() -> Iterator[None]:
        nonlocal before, after
        assert state(lake) == after, "something that readers see has changed while batches could run"
        before = state(lake)
        yield
        after = state(lake)
        seen.append((after[0] - before[0], before[1] - after[1], before[2] - after[2]))

    for _ in Tending(lake, SMALL, hold, lambda: 1000).steps(Worth.at_once):
        assert state(lake) == after
    assert sum(commits for commits, _, _ in seen) == 1
    assert all(files <= 4 and deleted <= 4 for _, files, deleted in seen), seen


def state(lake: Lake) -> tuple[int, int, int]:
    """The newest version, and how many files there are in the log and of committed rows."""
    folder = lake.path(SMALL)
    log = list((folder / "_delta_log").glob("0*"))
    old = [path for path in folder.glob("*.parquet") if "zstd" not in path.name]
    return max(int(path.name[:20]) for path in log), len(log), len(old)


@pytest.mark.parametrize(
    "point", ["after_compacted_file", "after_compaction_commit", "after_log_cut:2", "after_files_deleted:2"]
)
def test_killed_at_work_it_leaves_the_table_whole_and_is_done_again(settings: Settings, point: str) -> None:
    lake = made_by_hand(kept_for(settings))
    commit(lake, range(23))
    environment = os.environ | {"PYTHONPATH": f"{REPO_ROOT}:{REPO_ROOT / 'tests'}", "CRYPTOLAKE_FAULT": point}
    command = [sys.executable, "-m", "small_commits", str(settings.home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = Lake(None, lake.settings)  # type: ignore[arg-type]
    assert keys_of(left.rows_where(SMALL, [])) == KEYS
    assert left.mark(SMALL, STEP) == 23
    commit(left, range(22, 25))  # the first of them has been written
    tended = tend(left)
    assert (tended.footprint().files, tended.footprint().disk_files) == (1, 1)
    assert keys_of(left.rows_where(SMALL, [])) == [*KEYS, "23", "24"]


def files(*sizes: int) -> list[DataFile]:
    return [DataFile(f"f{number:03d}", size, number, number) for number, size in enumerate(sizes)]


def grouped(*sizes: int, fewest: int = 3, most: int = 100, largest_share: float = 1) -> list[int]:
    """The numbers of the files that are made one, of a target of 640 bytes: steps of growth are 10, 80 and 320."""
    return [file.first_us for file in next_group(files(*sizes), Worth(640, fewest, most, largest_share))]


def test_small_neighbours_in_time_become_one_file() -> None:
    assert grouped(1, 1, 1) == [0, 1, 2]
    assert grouped(1, 1) == []
    assert grouped(1, 1, fewest=2) == [0, 1]
    assert grouped(*[1] * 8, most=5) == [0, 1, 2, 3, 4]
    assert grouped(1, 1, 400, 1, 1) == []  # a large file lies between them
    assert grouped(50, 1, 1, 50, 1, 1, 1) == [4, 5, 6]  # the smallest first, so that few bytes are written again
    assert grouped(50, 50, 1, 1) == [0, 1, 2, 3]
    assert grouped(50, 1, 1, 1, 1, largest_share=0.5) == [1, 2, 3, 4]
    assert grouped(9, 1, 1, 1, largest_share=0.5) == [1, 2, 3]
    assert grouped(300, 300, 300) == [0, 1]  # no larger than the target
    assert grouped(320, 320, 320, 1) == []
    shuffled = [files(1, 1, 1)[place] for place in (2, 0, 1)]
    assert [file.first_us for file in next_group(shuffled, Worth(640, 3, 100, 1))] == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 7])
def test_files_are_grown_to_the_target_by_few_rewritings(size: int) -> None:
    worth, held, rewritten = Worth(64 * 640, 8, 100, 0.5), list[DataFile](), 0
    for number in range(5000):
        held.append(DataFile(f"n{number}", size, number, number))
        while group := next_group(held, worth):
            rewritten += sum(file.size for file in group)
            made = DataFile(f"c{number}", sum(file.size for file in group), group[0].first_us, number)
            held = [*(file for file in held if file not in group), made]
    assert sum(file.size for file in held) == 5000 * size
    assert len(held) < 40
    assert rewritten < 7 * 5000 * size


def log_of(*names: str) -> list[LogFile]:
    """Files of a log, named like c5 (a commit) or p5 (a checkpoint), each written at the second of its version."""
    kinds = {"c": "json", "p": "checkpoint.parquet"}
    return [LogFile(int(name[1:]), kinds[name[0]], name, float(name[1:])) for name in names]


def cut_names(keep_after_s: float, needed_from: int = 1000, hinted: int = 1000) -> list[str]:
    log = log_of("c0", "c1", "c2", "p2", "c3", "c4", "p4", "c5", "c6", "p6", "c7")
    return [file.name for file in cut(log, keep_after_s, needed_from, hinted)]


def test_a_log_is_cut_below_an_old_checkpoint_that_has_a_newer_one() -> None:
    below_4 = ["c0", "c1", "c2", "p2", "c3"]
    assert cut_names(1000) == below_4  # not below the newest checkpoint
    assert cut_names(3.5) == below_4
    assert cut_names(2.5) == ["c0", "c1"]
    assert cut_names(0.5) == []
    assert cut_names(1000, needed_from=4) == below_4
    assert cut_names(1000, needed_from=3) == ["c0", "c1"]
    assert cut_names(1000, hinted=3) == ["c0", "c1"]
    assert cut_names(1000, hinted=-1) == []
    assert cut(log_of("c0", "c1", "p1", "c2"), 1000, 1000, 1) == []
