"""Conditions on rows: no file that holds a wanted row is left unread, and others are."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from crash_points import SEED
from deltalake import DeltaTable, write_deltalake

from lakehouse.conditions import AnyOf, files_to_read, in_spans
from lakehouse.local_tables import LocalTables
from lakehouse.table_state import LocalTableState

START = datetime(2024, 8, 9, tzinfo=UTC)
SCHEMA = pa.schema([("symbol", pa.string()), ("number", pa.int64()), ("at", pa.timestamp("us", tz="UTC"))])
LARGEST = 2**63 - 1


def row(chance: random.Random, file: int) -> dict[str, Any]:
    return {
        "symbol": chance.choice(["A", "B", "é", None]) if file % 3 else "C",
        "number": chance.choice([file, file + 1, LARGEST, None]),
        "at": START + timedelta(seconds=file, microseconds=chance.randrange(1_000_000)),
    }


def matches(found: dict[str, Any], any_of: AnyOf) -> bool:
    def holds(name: str, sign: str, value: Any) -> bool:
        own = found[name]
        if own is None:
            return False
        by_sign = {"=": lambda: own == value, ">=": lambda: own >= value, "<": lambda: own < value}
        by_sign |= {"<=": lambda: own <= value, "in": lambda: own in value, "not in": lambda: own not in value}
        return bool(by_sign[sign]())

    return any(all(holds(*one) for one in all_of) for all_of in any_of)


def test_what_is_read_is_what_matches_and_files_without_it_are_not_opened(tmp_path: Path) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    chance = random.Random(SEED)  # noqa: S311
    rows: list[dict[str, Any]] = []
    for file in range(30):
        some = [row(chance, file) for _ in range(4)]
        rows += some
        write_deltalake(tmp_path, pa.Table.from_pylist(some, SCHEMA), mode="append")
    state = LocalTableState(tmp_path, LocalTables(reload_commits=100))
    files = pa.table(DeltaTable(tmp_path).get_add_actions())
    exact = chance.choice(rows)["at"]
    asked: list[AnyOf] = [
        [[("at", ">=", exact), ("at", "<", exact + timedelta(microseconds=1))]],
        in_spans("at", [(START, START + timedelta(seconds=3)), (exact, exact + timedelta(milliseconds=2))]),
        [[("symbol", "=", "C"), ("number", "<=", 9)], [("number", "in", [3, 4]), ("symbol", "not in", ["A"])]],
        [[("number", ">=", LARGEST)]],
        [[("number", ">=", LARGEST), ("number", "<=", LARGEST), ("at", "<", START + timedelta(seconds=5))]],
    ]
    for any_of in asked:
        wanted = [found for found in rows if matches(found, any_of)]
        key = str
        assert sorted(state.rows_where(any_of).to_pylist(), key=key) == sorted(wanted, key=key), any_of
        selected = state.select("SELECT number, symbol FROM {rows}", any_of).to_pylist()
        assert sorted(map(str, selected)) == sorted(str({"number": r["number"], "symbol": r["symbol"]}) for r in wanted)
    pruned = [files_to_read(files, any_of).num_rows for any_of in asked]
    assert pruned[0] <= 3
    assert pruned[1] <= 8
    assert state.rows_where([]).num_rows == len(rows)
    spans = in_spans("at", [(START, START + timedelta(seconds=1))])
    assert state.few_rows_where(spans, most=3) is None
    few = state.few_rows_where(spans, most=8)
    assert few is not None
    assert few.num_rows == state.rows_where(spans).num_rows == 4


def test_a_file_whose_rows_are_all_null_there_is_not_opened(tmp_path: Path) -> None:
    for file in range(3):
        some = [{"symbol": "A", "number": n, "at": START if file == n == 1 else None} for n in range(2)]
        write_deltalake(tmp_path, pa.Table.from_pylist(some, SCHEMA), mode="append")
    files = pa.table(DeltaTable(tmp_path).get_add_actions())
    for sign in (">=", "<=", "="):
        assert files_to_read(files, [[("at", sign, START)]]).num_rows == 1
    assert files_to_read(files, [[("number", ">=", 0)]]).num_rows == 3
