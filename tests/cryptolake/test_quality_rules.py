"""One file of rules, three readers that agree row by row: the parser, the single pass over a frame, and the suite."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from quality_corpus import DIFFERS, GOOD, TABLES, TIME, Case, Row, cases_of, rows_of, wide_schema

from cryptolake.quality.suite import Suite
from lakehouse.arrow import frame_of
from silver.parse import parse_frame
from silver.row_rules import BROKEN_RULES, with_broken_rules
from silver.rows import Frame, Rejected
from silver.rule_kinds import Digits, Unique
from silver.rules import load_rules
from silver.tables import TRADES

RULES = load_rules().tables
AT_ONCE = 64  # so that the corpus of every table is judged in parts
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def judged_by_gx(table: str, rows: pa.Table) -> list[set[str]]:
    broken: list[set[str]] = [set() for _ in range(rows.num_rows)]
    for verdict in Suite(table, RULES[table], AT_ONCE).judge(rows):
        for place in verdict.unexpected:
            broken[place].add(verdict.rule.name)
    return broken


@pytest.mark.parametrize("table", RULES)
def test_the_single_pass_and_great_expectations_agree_on_every_rule_and_row(spark: SparkSession, table: str) -> None:
    rules = RULES[table]
    cases = cases_of(table, rules)
    rows = rows_of(table, cases)
    by_gx = [broken - {"key_once"} for broken in judged_by_gx(table, rows)]
    numbered = frame_of(spark, rows.append_column("number", [list(range(len(cases)))]))
    judged = with_broken_rules(numbered, rules).select("number", BROKEN_RULES).collect()
    by_spark = [set(row[BROKEN_RULES]) for row in sorted(judged, key=lambda row: row["number"])]
    told = [
        f"{each.changes}: {gx ^ split}" for each, gx, split in zip(cases, by_gx, by_spark, strict=True) if gx ^ split
    ]
    assert not told
    assert by_gx[0] == set()
    for each, broken in zip(cases, by_gx, strict=True):
        for rule, is_broken in each.broken.items():
            assert (rule in broken) == is_broken, (each.changes, rule)
    untried = {rule.name for rule in rules.row_rules} - set().union(*by_gx)
    assert not untried, "no row of the corpus breaks it"


@pytest.mark.parametrize("table", RULES)
def test_a_key_is_unique_among_the_rows_looked_at_and_null_is_a_value(table: str) -> None:
    column, different = DIFFERS[table]
    keys = [different(1), None, different(1), None, different(2)]
    rows = pa.Table.from_pylist([{**GOOD[table], column: key} for key in keys], schema=wide_schema(TABLES[table]))
    assert ["key_once" in row for row in judged_by_gx(table, rows)] == [True, True, True, True, False]


@pytest.mark.parametrize("table", RULES)
def test_no_rule_is_broken_by_no_rows(table: str) -> None:
    nothing = rows_of(table, [])
    assert [v.unexpected for v in Suite(table, RULES[table], AT_ONCE).judge(nothing)] == [
        () for _ in RULES[table].rules
    ]


def test_the_parser_gives_the_reasons_of_the_rules_that_a_row_breaks() -> None:
    def frame(row: Row) -> Frame:
        text = (
            f'{{"e":"trade","s":"BTCUSDT","t":7,"p":"{row["price"]:f}","q":"{row["quantity"]:f}",'
            f'"T":{_us(row["event_time"])},"m":false}}'
        )
        return Frame("binance", "trade", "k", "S", 1, _us(row["received_at"]), "stream", text.encode())

    cases = [
        each
        for each in cases_of(TRADES.name, RULES[TRADES.name])
        if set(each.changes) <= {"price", "quantity", "event_time"} and None not in each.changes.values()
    ]
    assert_same_reasons(cases, frame, at_least=10)


def test_the_parser_of_bybit_gives_the_reasons_of_its_rules() -> None:
    def frame(row: Row) -> Frame:
        trade = {"T": _us(TIME) // 1000, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "2", "i": row["trade_key"]}
        body = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": [trade]}
        trade["seq"] = row["venue_sequence"]
        return Frame(row["venue"], "trade", "k", "S", 1, _us(TIME), "stream", json.dumps(body).encode())

    of_bybit = ("venue", "trade_key", "venue_sequence", "trade_id")
    cases = [
        each
        for each in cases_of(TRADES.name, RULES[TRADES.name])
        if str(each.changes.get("venue")).startswith("bybit-")
        and set(each.changes) == set(of_bybit)
        and each.changes["trade_id"] is None  # no frame has one
    ]
    assert_same_reasons(cases, frame, at_least=6)


def assert_same_reasons(cases: list[Case], frame: Callable[[Row], Frame], at_least: int) -> None:
    by_name = {rule.name: rule for rule in RULES[TRADES.name].rules}
    rejecting = 0
    for each, broken in zip(cases, judged_by_gx(TRADES.name, rows_of(TRADES.name, cases)), strict=True):
        (parsed,) = parse_frame(frame({**GOOD[TRADES.name], **each.changes}))
        reasons = {r.split(":")[0] for r in parsed.reasons} if isinstance(parsed, Rejected) else set()
        refused = [by_name[name] for name in broken - {"key_once"} if by_name[name].severity == "reject"]
        # What is wrong with a text as such is no rule of a table.
        assert reasons - {"control_char"} == {rule.reason for rule in refused}, each.changes
        rejecting += bool(reasons)
    assert rejecting >= at_least


@pytest.mark.parametrize("table", RULES)
def test_rules_name_columns_of_the_table_and_their_digits_are_its_types(table: str) -> None:
    contract, rules = TABLES[table], RULES[table]
    assert set(rules.columns) <= set(contract.columns)
    assert rules.key == contract.key
    kinds = {field.name: field.dataType.simpleString() for field in contract.schema}
    digits = {
        rule.column: f"decimal({rule.precision},{rule.scale})" for rule in rules.rules if isinstance(rule, Digits)
    }
    assert digits == {name: kind for name, kind in kinds.items() if kind.startswith("decimal")}
    assert sum(isinstance(rule, Unique) for rule in rules.rules) == 1


def _us(time: dt.datetime) -> int:
    return (time - EPOCH) // dt.timedelta(microseconds=1)
