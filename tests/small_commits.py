"""A lake of one table in many small commits, without Spark; run as a program it tends the table once."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake, Txn
from lakehouse.maintenance.grouping import Worth
from lakehouse.maintenance.tending import Tending
from lakehouse.settings import Settings, load_settings
from lakehouse.table import Table
from silver.tables import TRADES

SMALL = replace(TRADES, properties={"delta.checkpointInterval": "5"})
START = datetime(2024, 8, 9, 0, 0, 0, 452_789, tzinfo=UTC)
PRICE = Decimal("123456789012.123456789012")  # more digits than a double holds
STEP = "silver.trades/test/source"


def kept_for(settings: Settings, **limits: float) -> Settings:
    """Settings under which nothing is kept longer than it must be, unless a limit says so."""
    wanted = {"keep_log_s": 0.0, "keep_files_s": 0.0, **limits}
    return settings.model_copy(update={"maintenance": settings.maintenance.model_copy(update=wanted)})


def trade(number: int) -> dict[str, Any]:
    at = START + timedelta(seconds=number)
    row = {"venue": "binance", "symbol": f"S{number % 3}-USDT", "trade_key": str(number), "trade_id": number}
    return row | {"side": "buy", "price": PRICE - number, "quantity": Decimal(1), "event_time": at, "received_at": at}


def commit(lake: Lake, numbers: range) -> None:
    """Append one trade in each commit, as `Lake` does it for a small batch."""
    for number in numbers:
        rows = pa.Table.from_pylist([trade(number)], contract_schema(SMALL))
        lake.append_rows(SMALL, rows, Txn(STEP, number + 1))


def made_by_hand(settings: Settings, *tables: Table) -> Lake:
    """A lake without a session, with some tables."""
    lake = Lake(None, settings)  # type: ignore[arg-type] # nothing here asks it for one
    lake.create(*(tables or (SMALL,)))
    return lake


def tend(lake: Lake, first_unread: int | None = None) -> Tending:
    """Tend the table now."""
    unread = lake.version(SMALL) + 1000 if first_unread is None else first_unread
    tending = Tending(lake, SMALL, nullcontext, lambda: unread)
    for _ in tending.steps(Worth.at_once):
        pass
    return tending


def main(home: Path) -> None:
    settings = kept_for(load_settings(home=home), deleted_at_once=3)
    tend(Lake(None, settings))  # type: ignore[arg-type] # as above


if __name__ == "__main__":
    main(Path(sys.argv[1]))
