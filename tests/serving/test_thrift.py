"""The Thrift server, as Tableau, beeline and PyHive see it, while the lake is written."""

from __future__ import annotations

import datetime as dt
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pyhive import hive
from pyspark.sql import SparkSession
from TCLIService import ttypes

from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from serving.catalog import TABLES
from silver.tables import SIX_MINUTE_TRENDS

MINUTE = dt.datetime(2024, 8, 9, 0, 1)


def write_trend(lake: Lake, minute: int) -> None:
    row = (
        "binance",
        "BTC-USDT",
        MINUTE + dt.timedelta(minutes=minute),
        Decimal("61837.5"),
        1,
        Decimal(0),
        "flat",
        None,
    )
    lake.append(SIX_MINUTE_TRENDS, lake.spark.createDataFrame([row], SIX_MINUTE_TRENDS.schema))


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, load_settings(home=tmp_path_factory.mktemp("served")))


@pytest.fixture(scope="module")
def connection(lake: Lake) -> Iterator[Any]:
    lake.create(*TABLES)
    write_trend(lake, 0)
    server = subprocess.Popen(
        [sys.executable, "-m", "cryptolake", "--home", str(lake.settings.home), "sql-server"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        told = next((line for line in server.stdout if "Thrift server at" in line), "")
        found = re.search(r"127\.0\.0\.1:(\d+)", told)
        assert found, "the server ended without telling its port"
        with hive.connect("127.0.0.1", port=int(found[1]), auth="NONE", username="anyone") as connected:
            yield connected
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in {0, 1}


def metadata(connection: Any, request: Any, call: str) -> list[tuple[Any, ...]]:
    answer = getattr(connection.client, call)(request)
    assert answer.status.statusCode == ttypes.TStatusCode.SUCCESS_STATUS, answer.status.errorMessage
    rows = connection.client.FetchResults(
        ttypes.TFetchResultsReq(operationHandle=answer.operationHandle, orientation=0, maxRows=10_000)
    )
    columns = [next(v.values for v in vars(c).values() if v is not None) for c in rows.results.columns]
    return list(zip(*columns, strict=True))


def test_tools_find_tables_columns_and_rows_while_the_pipeline_writes(lake: Lake, connection: Any) -> None:
    session = connection.sessionHandle
    tables = metadata(connection, ttypes.TGetTablesReq(session, schemaName="%", tableName="%"), "GetTables")
    assert {f"{row[1]}.{row[2]}" for row in tables} >= {
        "gold_bi.one_minute_bars", "gold_bi.six_minute_trends", "gold_bi.predictions", "silver.trades", "bronze.frames",
    }  # fmt: skip

    columns = metadata(
        connection,
        ttypes.TGetColumnsReq(session, schemaName="gold_bi", tableName="six_minute_trends", columnName="%"),
        "GetColumns",
    )
    assert {row[3]: row[5] for row in columns} == {
        "venue": "STRING", "symbol": "STRING", "minute_utc": "TIMESTAMP_NTZ", "date_utc": "DATE",
        "average_price": "DECIMAL(18,8)", "change_pct": "DECIMAL(18,8)", "minutes_present": "INT", "trend": "STRING",
    }  # fmt: skip

    stop = threading.Event()
    written = threading.Semaphore(0)

    def write() -> None:
        for minute in range(1, 200):
            if stop.is_set():
                return
            write_trend(lake, minute)
            written.release()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = 1
        for _ in range(3):
            assert written.acquire(timeout=60)
            cursor = connection.cursor()
            cursor.execute("SELECT minute_utc, average_price FROM gold_bi.six_minute_trends ORDER BY minute_utc")
            rows = cursor.fetchall()
            assert rows[0] == (MINUTE, Decimal("61837.5"))
            assert len(rows) > seen, "a view did not follow the table"
            seen = len(rows)
    finally:
        stop.set()
        writer.join(60)


def test_a_client_cannot_write(connection: Any) -> None:
    cursor = connection.cursor()
    for statement in ("INSERT INTO silver.trades SELECT * FROM silver.trades", "DELETE FROM silver.trades WHERE true"):
        with pytest.raises(hive.OperationalError):
            cursor.execute(statement)
