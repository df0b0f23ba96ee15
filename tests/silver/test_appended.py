"""Rows appended past Spark are there for every reader, exact at the bounds by which files are skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake, Txn
from silver.tables import TRADES

TIME = datetime(2024, 8, 9, 0, 0, 0, 452_789, tzinfo=UTC)
PRICE = Decimal("123456789012.123456789012")  # more digits than a double holds


def trades(*changes: dict[str, Any]) -> pa.Table:
    row = {"venue": "binance", "symbol": "BTC-USDT", "trade_key": "1", "side": "buy", "price": PRICE}
    row |= {"quantity": Decimal(1), "event_time": TIME, "received_at": TIME, "row": 0}
    return pa.Table.from_pylist([row | change for change in changes], contract_schema(TRADES))


def test_every_reader_finds_them_by_the_last_digit_and_microsecond(lake: Lake) -> None:
    lake.create(TRADES)
    lake.append_rows(TRADES, trades({}), Txn("test/app", 4))
    lake.append_rows(TRADES, trades({"symbol": "ETH-USDT", "price": Decimal(1)}), Txn("test/app", 5))
    assert lake.append_rows(TRADES, trades({}), Txn("test/app", 5)) is None
    by_spark = lake.read(TRADES)
    for condition in (
        f"price >= {PRICE}",
        "event_time = TIMESTAMP '2024-08-09 00:00:00.452789' AND symbol = 'BTC-USDT'",
        "event_time > TIMESTAMP '2024-08-09 00:00:00.452788' AND price > 1",
    ):
        assert [row["symbol"] for row in by_spark.where(condition).collect()] == ["BTC-USDT"], condition
    table = DeltaTable(str(lake.path(TRADES)))
    with duckdb.connect() as connection:
        connection.register("trades", table.to_pyarrow_dataset())
        found = connection.sql(f"SELECT price FROM trades WHERE symbol = 'BTC-USDT' AND price >= {PRICE}").fetchall()  # noqa: S608
    assert found == [(PRICE,)]
    microsecond = timedelta(microseconds=1)
    assert lake.rows_between(TRADES, "event_time", [(TIME, TIME + microsecond)]).num_rows == 2
    assert lake.rows_between(TRADES, "event_time", [(TIME - microsecond, TIME)]).num_rows == 0
    assert lake.rows_between(TRADES, "event_time", [(TIME, TIME + microsecond)]).num_rows == 2


def test_a_row_that_breaks_a_constraint_is_refused_with_all_beside_it(lake: Lake) -> None:
    lake.create(TRADES)
    with pytest.raises(DeltaError, match="1 rows failed validation"):
        lake.append_rows(TRADES, trades({}, {"trade_key": "2", "price": Decimal(0)}), Txn("test/app", 4))
    assert lake.is_empty(TRADES)
    assert lake.mark(TRADES, "test/app") is None
