"""SQL over the lake without a JVM: right figures, only queries, and errors a person can act on."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest
from rich.console import Console

from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from serving.catalog import TABLES
from serving.sql import query, render
from silver.tables import ONE_MINUTE_BARS

MINUTE = dt.datetime(2024, 8, 9, 0, 1, tzinfo=dt.UTC)


@pytest.fixture
def bars(lake: Lake) -> Lake:
    lake.create(*TABLES)
    values = {
        "venue": "binance", "symbol": "[red]<script>", "minute": MINUTE, "open": Decimal("61837.63"),
        "high": Decimal("61837.64"), "low": Decimal("61837.62"), "close": Decimal("61837.630000000001"),
        "volume": Decimal("0.10000001"), "buy_volume": Decimal("0"), "amount": Decimal("6183.8"),
        "price_sum": Decimal("61837.63"), "average_price": Decimal("61837.63"), "vwap": Decimal("61837.63"),
        "trade_count": 1, "origin": "trades", "revised_at": None,
    }  # fmt: skip
    row = [tuple(values[name] for name in ONE_MINUTE_BARS.columns)]
    lake.append(ONE_MINUTE_BARS, lake.spark.createDataFrame(row, ONE_MINUTE_BARS.schema))
    return lake


def printed(settings: Settings, sql: str, form: str) -> str:
    out = io.StringIO()
    render(query(settings, sql), form, Console(file=out, width=200))  # type: ignore[arg-type]
    return out.getvalue()


def test_figures_keep_every_digit_and_times_are_utc(bars: Lake) -> None:
    (row,) = query(bars.settings, "SELECT close, minute FROM silver.one_minute_bars").to_pylist()
    assert row == {"close": Decimal("61837.630000000001"), "minute": MINUTE}


def test_a_bi_view_has_naive_utc_times_and_short_decimals(bars: Lake) -> None:
    (row,) = query(bars.settings, "SELECT * FROM gold_bi.one_minute_bars").to_pylist()
    assert row["minute_utc"] == MINUTE.replace(tzinfo=None)
    assert row["date_utc"] == MINUTE.date()
    assert row["close"] == Decimal("61837.63000000")
    assert row["volume"] == 0.10000001


def test_every_table_and_view_answers(bars: Lake) -> None:
    names = query(bars.settings, "show tables").column("table").to_pylist()
    assert {"bronze.binance_trades", "gold_bi.five_minute_bars", "gold_bi.predictions", "silver.trades"} <= set(names)
    for name in names:
        query(bars.settings, f"SELECT * FROM {name}")  # noqa: S608 - names of the catalog


def test_csv_and_json_are_for_programs_and_the_table_takes_no_markup(bars: Lake) -> None:
    sql = "SELECT symbol, volume, minute FROM silver.one_minute_bars"
    assert printed(bars.settings, sql, "csv") == (
        "symbol,volume,minute\n[red]<script>,0.10000001,2024-08-09 00:01:00+00:00\n"
    )
    assert json.loads(printed(bars.settings, sql, "json"))["volume"] == "0.10000001"
    assert "[red]<script>" in printed(bars.settings, sql, "table")


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE silver.one_minute_bars",
        "COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION 'x'",
        "INSERT INTO silver.one_minute_bars SELECT * FROM silver.one_minute_bars",
        "SELECT 1; DROP TABLE silver.one_minute_bars",
        "/* */ DROP TABLE silver.one_minute_bars",
    ],
)
def test_only_queries_are_answered(bars: Lake, sql: str) -> None:
    with pytest.raises(CryptolakeError):
        query(bars.settings, sql)
    assert query(bars.settings, "SELECT count(*) AS n FROM silver.one_minute_bars").to_pylist() == [{"n": 1}]


def test_a_name_that_is_not_there_is_answered_with_those_that_are(bars: Lake) -> None:
    with pytest.raises(CryptolakeError, match=r"silver\.trades"):
        query(bars.settings, "SELECT * FROM silver.tradez")


def test_an_empty_home_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(CryptolakeError, match="cryptolake demo"):
        query(settings, "SELECT * FROM silver.trades")


def test_answering_needs_no_java(bars: Lake) -> None:
    program = (
        "import sys; from pathlib import Path; from lakehouse.settings import load_settings\n"
        "from serving.sql import query\n"
        "print(query(load_settings(home=Path(sys.argv[1])), 'SELECT count(*) AS n FROM silver.one_minute_bars'))"
    )
    answered = subprocess.run(
        [sys.executable, "-c", program, str(bars.settings.home)],
        env={**os.environ, "PATH": "", "JAVA_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[[1]]" in answered.stdout
