"""What steps ask of whole tables at their start has one answer: from a folder, from a catalog, of rows in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from crash_points import SEED
from pyspark.sql import SparkSession

from bronze.land import _HIGHEST_OFFSETS
from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema, in_micros
from lakehouse.lake import Lake
from lakehouse.table import Table
from lakehouse.table_state import CatalogTableState
from silver.few_trades import holes_of_few, spans_of
from silver.high_water import _SPANS, Span
from silver.id_gaps import _HOLES, _stored_holes
from silver.tables import TRADES

TIME = datetime(2024, 8, 9, tzinfo=UTC)
Answer = Callable[[Table, str], list[dict[str, Any]]]


def trades(chance: random.Random) -> pa.Table:
    """Trades of venues with ids, with an order of their own, and with neither, received in disorder."""
    rows = []
    for number in chance.sample(range(10, 60), 30):
        received = TIME + timedelta(microseconds=chance.randrange(10**9))
        made = {"side": "buy", "price": Decimal(1), "quantity": Decimal(1), "event_time": TIME, "received_at": received}
        for venue, numbers in (
            ("binance", {"trade_id": number, "sequence": 3}),
            ("bybit-spot", {"venue_sequence": number // 2, "sequence": number}),
            ("coincap-gdax", {"sequence": number, "session_id": chance.choice("AB")}),
        ):
            symbol = chance.choice(["BTC-USDT", "ETH-USDT"])
            rows.append(made | {"venue": venue, "symbol": symbol, "trade_key": f"{symbol} {number}", **numbers})
    return pa.Table.from_pylist(rows, contract_schema(TRADES))


def answers(lake: Lake, spark: SparkSession) -> list[Answer]:
    def of_folder(table: Table, query: str) -> list[dict[str, Any]]:
        return lake.select(table, query).to_pylist()

    def of_catalog(table: Table, query: str) -> list[dict[str, Any]]:
        return CatalogTableState(lambda: spark, lake.identifier(table)).select(query, ()).to_pylist()

    return [of_folder, of_catalog]


def test_spans_and_holes_of_a_table_are_those_of_its_rows(lake: Lake, spark: SparkSession) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    rows = trades(random.Random(SEED))  # noqa: S311
    lake.create(TRADES)
    lake.append_rows(TRADES, rows.slice(0, 40))
    lake.append_rows(TRADES, rows.slice(40))
    spans = {(s.venue, s.scope): (s.numbered_by, s.rows, s.lowest, s.highest, s.received_us) for s in spans_of(rows)}
    of_ids = {(s.venue, s.scope) for s in spans_of(rows) if s.numbered_by == "trade_id"}
    holes = sorted(holes_of_few(rows, of_ids), key=repr)
    assert holes
    assert sorted(_stored_holes(lake, of_ids), key=repr) == holes
    one = {("binance", "BTC-USDT")}
    assert sorted(_stored_holes(lake, one), key=repr) == sorted(holes_of_few(rows, one), key=repr)
    for answer in answers(lake, spark):
        found = in_micros(pa.Table.from_pylist(answer(TRADES, _SPANS)), "received_at", "received_us").to_pylist()
        stored = [Span(**row, numbers=row["rows"]) for row in found]
        assert {
            (s.venue, s.scope): (s.numbered_by, s.rows, s.lowest, s.highest, s.received_us) for s in stored
        } == spans
        assert len(answer(TRADES, _HOLES)) == len(holes)


def test_the_highest_offsets_are_those_of_each_topic_id_and_partition(lake: Lake, spark: SparkSession) -> None:
    made = {"venue": "binance", "channel": "trade", "payload": b"{}", "kafka_time": TIME, "ingested_at": TIME}
    places = [("t", "old", 0, 7), ("t", "new", 0, 3), ("t", "new", 0, 5), ("t", "new", 1, 0), ("u", "other", 0, 2)]
    rows = [made | dict(zip(("topic", "topic_id", "partition", "offset"), place, strict=True)) for place in places]
    lake.create(FRAMES)
    for answer in answers(lake, spark):
        assert answer(FRAMES, _HIGHEST_OFFSETS) == []
    lake.append_rows(FRAMES, pa.Table.from_pylist(rows, contract_schema(FRAMES)))
    for answer in answers(lake, spark):
        held = {tuple(row.values()) for row in answer(FRAMES, _HIGHEST_OFFSETS)}
        assert held == {("t", "old", 0, 7), ("t", "new", 0, 5), ("t", "new", 1, 0), ("u", "other", 0, 2)}
