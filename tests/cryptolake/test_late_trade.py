"""A trade a week late through the whole way: tape, spool, Kafka and every step; delta-rs says which rows changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from bronze import tables as bronze
from bronze.tape import replay
from cryptolake.audit.run import audit
from cryptolake.broker.local import LocalBroker
from cryptolake.maintain import maintain
from cryptolake.pipeline import Pipeline
from cryptolake.running import stream
from gold import tables as gold
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.table import Table
from silver import tables as silver

WEEK_AGO = datetime(2024, 8, 2, 12, 0, tzinfo=UTC)
MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
ABOVE_TRADES = (silver.ONE_MINUTE_BARS, silver.FIVE_MINUTE_BARS, silver.SIX_MINUTE_TRENDS)
Rows = dict[tuple[str, str, datetime | str], dict[str, Any]]


@pytest.fixture
def bootstrap_servers(settings: Settings) -> Iterator[str]:
    """A broker of the test's own: the topics of a venue are found by their names."""
    local = LocalBroker(settings)
    yield local.start()
    local.stop()


def line(trade_id: int, event: datetime, price: str, symbol: str = "BTCUSDT", received: datetime | None = None) -> str:
    ms, name = round(event.timestamp() * 1000), symbol.lower()
    data = f'{{"e":"trade","E":{ms},"s":"{symbol}","t":{trade_id},"p":"{price}","q":"2","T":{ms},"m":false,"M":true}}'
    received_ns = round((received or event).timestamp() * 1000 + 20) * 1_000_000
    return json.dumps({"received_ns": received_ns, "frame": f'{{"stream":"{name}@trade","data":{data}}}'})


def tape(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def run_until_idle(spark: SparkSession, settings: Settings, bootstrap_servers: str) -> None:
    """What `cryptolake run --until-idle` does, in the session of the tests."""
    lake = Lake(spark, settings)
    lake.create(*bronze.TABLES, *silver.TABLES, *gold.TABLES)
    pipeline = Pipeline(lake, bootstrap_servers)
    pipeline.drain()
    stream(lake, pipeline, bootstrap_servers, True, threading.Event(), lambda: None)


def rows_of(settings: Settings, *tables: Table) -> Rows:
    found: Rows = {}
    for table in tables:
        folder = settings.home / "lake" / table.name.replace(".", "/")
        for row in DeltaTable(str(folder)).to_pyarrow_table().to_pylist():
            found[table.name, row["symbol"], row[table.key[-1]]] = row
    return found


@pytest.mark.experiment(
    22,
    fault="a trade a week late, and once more",
    holds="I5 I6: its minute, its five minutes and the trends that look back on it change, and no other row",
)
@pytest.mark.timeout(900)  # two starts of the pipeline; seconds on an idle machine
def test_a_week_late_trade_changes_its_minute_its_five_minutes_and_the_trends_that_contain_it(
    spark: SparkSession, settings: Settings, bootstrap_servers: str, tmp_path: Path
) -> None:
    # Twelve minutes a week ago, without the sixth and with a hole in the ids, and three minutes of today.
    minutes = [WEEK_AGO + i * MINUTE for i in range(12) if i != 5] + [WEEK_AGO + WEEK + i * MINUTE for i in range(3)]
    lines = [
        line(number + 1 + (number > 7), minute + timedelta(seconds=3), f"{100 + number % 3}", symbol)
        for number, minute in enumerate(minutes)
        for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    replay(tape(tmp_path / "week.jsonl", *lines), "binance", settings, bootstrap_servers)
    run_until_idle(spark, settings, bootstrap_servers)
    above, trades = rows_of(settings, *ABOVE_TRADES), rows_of(settings, silver.TRADES)
    assert len(trades) == 28
    # What comes later comes to tables that have been tended, of which no old version is left.
    at_once = settings.maintenance.model_copy(update={"keep_log_s": 0.0, "keep_files_s": 0.0})
    list(maintain(Lake(spark, settings.model_copy(update={"maintenance": at_once}))))

    event = WEEK_AGO + 7 * MINUTE + timedelta(seconds=59)
    late = tape(tmp_path / "late.jsonl", line(9, event, "250", received=WEEK_AGO + WEEK + 3 * MINUTE))
    for _ in range(2):  # the second time it is a further copy
        replay(late, "binance", settings, bootstrap_servers)
    run_until_idle(spark, settings, bootstrap_servers)

    now = rows_of(settings, silver.TRADES)
    assert {key: row for key, row in now.items() if key in trades} == trades
    assert now.keys() - trades.keys() == {("silver.trades", "BTC-USDT", "9")}
    after = rows_of(settings, *ABOVE_TRADES)
    assert after.keys() == above.keys()
    changed = {key for key, row in after.items() if row != above[key]}
    assert changed == {
        ("silver.one_minute_bars", "BTC-USDT", WEEK_AGO + 7 * MINUTE),
        ("silver.five_minute_bars", "BTC-USDT", WEEK_AGO + 5 * MINUTE),
        # The tape ends with the twelfth minute, so of the six trends from the eighth minute on there are five.
        *(("silver.six_minute_trends", "BTC-USDT", WEEK_AGO + i * MINUTE) for i in range(7, 12)),
    }
    assert {key for key, row in after.items() if row["revised_at"] is not None} == changed
    window = after["silver.five_minute_bars", "BTC-USDT", WEEK_AGO + 5 * MINUTE]
    assert (window["high"], window["trade_count"]) == (250, 5)
    results = audit(settings)
    assert [f"{result.name}: {result.examples}" for result in results if not result.passed] == []
