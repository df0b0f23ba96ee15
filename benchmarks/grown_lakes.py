"""Lakes that have run for long: tables of many small commits, made quickly."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake, Txn
from lakehouse.maintenance.log_folder import LogFolder
from lakehouse.marks import note_of
from lakehouse.settings import Settings
from silver.tables import SIX_MINUTE_TRENDS, TRADES

COMMIT_EVERY_S = 1.65  # what a day of one table was measured at: 52,364 commits
START = datetime(2024, 8, 9, tzinfo=UTC)
STEP = "silver.trades/bench/source"
_COMMITTED_BY_DELTA_RS = 1000
_CHECKPOINT_EVERY = 1000


def trades(commit: int, rows: int) -> pa.Table:
    """The trades of one commit, all new."""
    numbers = range(commit * rows, (commit + 1) * rows)
    return pa.Table.from_pylist([_trade(number) for number in numbers], contract_schema(TRADES))


def _trade(number: int) -> dict[str, Any]:
    at = START + timedelta(milliseconds=number)
    row = {"venue": "binance", "symbol": f"S{number % 20}-USDT", "trade_key": str(number), "trade_id": number}
    row |= {"side": "buy", "price": Decimal(number % 1000 + 1), "quantity": Decimal(1), "session_id": "s"}
    return row | {"event_time": at, "received_at": at, "topic_id": "t", "topic": "binance.trade", "partition": 0}


def grow(lake: Lake, commits: int, rows: int, reached: Callable[[int], None]) -> None:
    """Give silver.trades a history of small commits, one every 1.65 s up to now, and never tend it.

    The first thousand are made by delta-rs, and the others are copies of these with other names of files, times and
    marks: 45,000 would take delta-rs ten minutes.

    Args:
        lake: where silver.trades is just made.
        commits: how many.
        rows: of each.
        reached: told of every version.
    """
    began_s, folder = time.time() - commits * COMMIT_EVERY_S, lake.path(TRADES)
    for number in range(min(commits, _COMMITTED_BY_DELTA_RS)):
        lake.append_rows(TRADES, trades(number, rows), Txn(STEP, number + 1))
        _at(folder, number + 1, began_s)
        reached(number + 1)
    patterns = [_pattern(folder, version) for version in range(1, min(commits, _COMMITTED_BY_DELTA_RS) + 1)]
    for version in range(_COMMITTED_BY_DELTA_RS + 1, commits + 1):
        _copy_commit(folder, patterns[version % len(patterns)], version, began_s + version * COMMIT_EVERY_S)
        _at(folder, version, began_s)
        if version % _CHECKPOINT_EVERY == 0:
            DeltaTable(str(folder)).create_checkpoint()
            _at(folder, version, began_s)
        reached(version)


def copied(lake: Lake, home: Path, version: int) -> Lake:
    """The lake as of a version, in another home and as if that were of now; files of rows are linked, not copied."""
    other = Lake(lake.spark, lake.settings.model_copy(update={"home": home}))
    source, target = lake.path(TRADES), other.path(TRADES)
    shutil.copytree(source / "_delta_log", target / "_delta_log")
    for path in source.glob("*.parquet"):
        os.link(path, target / path.name)
    for of_log in range(version + 1):
        _at(target, of_log, time.time() - version * COMMIT_EVERY_S)
    return other


def consumed(lake: Lake) -> None:
    """Say that aggregate has read all trades there are."""
    app_id = lake.app_id(SIX_MINUTE_TRENDS, "aggregate", TRADES)
    lake.advance(SIX_MINUTE_TRENDS, app_id, lake.version(TRADES))


def kept_for(settings: Settings, **limits: float) -> Settings:
    """Settings with other limits of the upkeep."""
    return settings.model_copy(update={"maintenance": settings.maintenance.model_copy(update=limits)})


def _pattern(folder: Path, version: int) -> dict[str, Any]:
    lines = LogFolder(folder).actions(version, "commitInfo", "add")
    return dict(lines)


def _copy_commit(folder: Path, pattern: dict[str, Any], version: int, at_s: float) -> None:
    path = f"part-00000-{version:08d}-c000.snappy.parquet"
    os.link(folder / pattern["add"]["path"], folder / path)
    at_ms, note = round(at_s * 1000), note_of({STEP: version})
    info = {"commitInfo": {**pattern["commitInfo"], "timestamp": at_ms, "userMetadata": note}}
    lines = [info, {"add": {**pattern["add"], "path": path, "modificationTime": at_ms}}]
    (folder / "_delta_log" / f"{version:020d}.json").write_text(
        "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    )


def _at(folder: Path, version: int, began_s: float) -> None:
    """Let a commit, and its checkpoint, be of its simulated time."""
    at_s = began_s + version * COMMIT_EVERY_S
    for name in (f"{version:020d}.json", f"{version:020d}.checkpoint.parquet"):
        if (path := folder / "_delta_log" / name).exists():
            os.utime(path, (at_s, at_s))
