"""What steps ask of whole tables at their start has one answer: from a folder, from a catalog, of rows in memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
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
from silver.few_spans import spans_of
from silver.high_water import _SPANS, Span
from silver.id_gaps import HOLES, Hole, _stored_holes, holes_of_symbols
from silver.missing_ids import Stretch
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


def scope_of(row: dict[str, Any]) -> tuple[str, str, str, int]:
    """The venue, the scope, the column of the number, and the number."""
    for numbered_by, scope in (("trade_id", "symbol"), ("venue_sequence", "symbol"), ("sequence", "session_id")):
        if row[numbered_by] is not None:
            return row["venue"], row[scope], numbered_by, row[numbered_by]
    raise AssertionError(row)


def spans_by_hand(rows: pa.Table) -> dict[tuple[str, str], tuple[Any, ...]]:
    scopes: dict[tuple[str, str, str], list[tuple[int, int, str]]] = {}
    for row in in_micros(rows, "received_at", "received_at").to_pylist():
        *scope, number = scope_of(row)
        scopes.setdefault(tuple(scope), []).append((number, row["received_at"], row["trade_key"]))  # type: ignore[arg-type]
    return {
        (venue, scope): (numbered_by, len(found), min(found)[0], max(found)[0], _at(numbered_by, min(found)[1]))
        for (venue, scope, numbered_by), found in scopes.items()
    }


def holes_by_hand(rows: pa.Table, symbols: set[tuple[str, str]]) -> list[Hole]:
    ids: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in in_micros(rows, "received_at", "received_at").to_pylist():
        if (row["venue"], row["symbol"]) in symbols:
            ids.setdefault((row["venue"], row["symbol"]), []).append((row["trade_id"], row["received_at"]))
    return sorted(
        (
            (*of_symbol, Stretch(before + 1, after - 1, max(before_us, after_us)))
            for of_symbol, found in ids.items()
            for (before, before_us), (after, after_us) in pairwise(sorted(found))
            if after > before + 1
        ),
        key=repr,
    )


def told(spans: Iterable[Span]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        (s.venue, s.scope): (s.numbered_by, s.rows, s.lowest, s.highest, _at(s.numbered_by, s.received_us))
        for s in spans
    }


def _at(numbered_by: str, received_us: int) -> int | None:
    """Of trades that share the lowest number any one will do: only ids make gaps."""
    return None if numbered_by == "venue_sequence" else received_us


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
    spans = spans_by_hand(rows)
    assert told(spans_of(rows)) == spans
    of_ids = {("binance", "BTC-USDT"), ("binance", "ETH-USDT")}
    holes = holes_by_hand(rows, of_ids)
    assert len(holes) > 5
    for symbols in (of_ids, {("binance", "BTC-USDT")}):
        wanted = holes_by_hand(rows, symbols)
        for found in (
            _stored_holes(lake, symbols),
            holes_of_symbols(rows, symbols),
            holes_of_symbols(lake.read(TRADES), symbols),
        ):
            assert sorted(found, key=repr) == wanted
    copies = pa.concat_tables([rows, rows])
    assert {(s.rows, s.numbers) for s in spans_of(copies)} == {(2 * s.rows, s.numbers) for s in spans_of(rows)}
    assert sorted(holes_of_symbols(copies, of_ids), key=repr) == holes
    for answer in answers(lake, spark):
        found = in_micros(pa.Table.from_pylist(answer(TRADES, _SPANS)), "received_at", "received_us").to_pylist()
        assert told(Span(**row, numbers=row["rows"]) for row in found) == spans
        assert len(answer(TRADES, HOLES)) == len(holes)


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
