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
_COMMITTED_BY_DELTA_RS = 500
_CHECKPOINT_EVERY = 100
_TENDED_EVERY = 500


def trades(commit: int, rows: int) -> pa.Table:
    """The trades of one commit, all new."""
    numbers = range(commit * rows, (commit + 1) * rows)
    return pa.Table.from_pylist([_trade(number) for number in numbers], contract_schema(TRADES))


def _trade(number: int) -> dict[str, Any]:
    at = START + timedelta(milliseconds=number)
    row = {"venue": "binance", "symbol": f"S{number % 20}-USDT", "trade_key": str(number), "trade_id": number}
    row |= {"side": "buy", "price": Decimal(number % 1000 + 1), "quantity": Decimal(1), "session_id": "s"}
    return row | {"event_time": at, "received_at": at, "topic_id": "t", "topic": "binance.trade", "partition": 0}


def grow(lake: Lake, commits: int, rows: int, tended: Callable[[int], None] | None = None) -> None:
    """Give silver.trades a history of small commits, one every 1.65 s up to now.

    The first 500 are made by delta-rs, and the others are copies of these with other names of files, times and
    marks: 45,000 would take delta-rs ten minutes.

    Args:
        lake: where silver.trades is just made.
        commits: how many.
        rows: of each.
        tended: called after every 500 commits with how many there are; None lets nobody tend the table.
    """
    folder = lake.path(TRADES)
    first = min(commits, _COMMITTED_BY_DELTA_RS)
    for number in range(1, first + 1):
        lake.append_rows(TRADES, trades(number - 1, rows), Txn(STEP, number))
    patterns = [dict(LogFolder(folder).actions(version, "commitInfo", "add")) for version in range(1, first + 1)]
    kept = [_kept_apart(folder, pattern["add"]["path"]) for pattern in patterns]
    version = lake.version(TRADES)
    for number in range(first + 1, commits + 1):
        version += 1
        which = number % len(patterns)
        _copy_commit(folder, kept[which], patterns[which], version, number)
        if number % _CHECKPOINT_EVERY == 0:
            DeltaTable(str(folder)).create_checkpoint()
        if tended and number % _TENDED_EVERY == 0:
            timed(lake)
            tended(number)
            version = lake.version(TRADES)
    shutil.rmtree(kept[0].parent)
    timed(lake)


def timed(lake: Lake) -> None:
    """Let the commits of silver.trades, and its checkpoints, be 1.65 s apart, and the newest of now."""
    log = lake.path(TRADES) / "_delta_log"
    newest, now_s = lake.version(TRADES), time.time()
    for path in log.glob("0*"):
        at_s = now_s - (newest - int(path.name[:20])) * COMMIT_EVERY_S
        os.utime(path, (at_s, at_s))


def copied(lake: Lake, home: Path) -> Lake:
    """The lake in another home; files of rows are linked, not copied."""
    other = Lake(lake.spark, lake.settings.model_copy(update={"home": home}))
    source, target = lake.path(TRADES), other.path(TRADES)
    shutil.copytree(source / "_delta_log", target / "_delta_log")
    for path in source.glob("*.parquet"):
        os.link(path, target / path.name)
    timed(other)
    return other


def consumed(lake: Lake) -> None:
    """Say that aggregate has read all trades there are."""
    app_id = lake.app_id(SIX_MINUTE_TRENDS, "aggregate", TRADES)
    lake.advance(SIX_MINUTE_TRENDS, app_id, lake.version(TRADES))


def kept_for(settings: Settings, **limits: float) -> Settings:
    """Settings with other limits of the upkeep."""
    return settings.model_copy(update={"maintenance": settings.maintenance.model_copy(update=limits)})


def _kept_apart(folder: Path, name: str) -> Path:
    """Link a file of rows to where no upkeep deletes it."""
    kept = folder.parent / "kept" / name
    kept.parent.mkdir(exist_ok=True)
    os.link(folder / name, kept)
    return kept


def _copy_commit(folder: Path, rows: Path, pattern: dict[str, Any], version: int, number: int) -> None:
    path, now_ms = f"part-00000-{number:08d}-c000.snappy.parquet", time.time_ns() // 1_000_000
    os.link(rows, folder / path)
    info = {"commitInfo": {**pattern["commitInfo"], "timestamp": now_ms, "userMetadata": note_of({STEP: number})}}
    lines = [info, {"add": {**pattern["add"], "path": path, "modificationTime": now_ms}}]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / "_delta_log" / f"{version:020d}.json").write_text(text, encoding="utf-8")
