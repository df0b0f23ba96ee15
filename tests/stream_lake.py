"""A lake fed through Kafka in the session of the tests: tapes in, every table out, and what must hold of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import bars_oracle as oracle
from bars_oracle import Trade
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from bronze import tables as bronze
from bronze.tape import replay
from cryptolake.audit.run import audit
from cryptolake.running import carry
from cryptolake.single_steps import take_step
from cryptolake.stream import checkpoint_folder
from gold import tables as gold
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.table import Table
from silver import tables as silver

TABLES = (*bronze.TABLES, *silver.TABLES, *gold.TABLES)
START = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Received = Callable[[Trade], datetime]
_tapes = count(1)


def trade_of(number: int, event: datetime, price: str = "1.5", symbol: str = SYMBOLS[0], side: str = "buy") -> Trade:
    """A trade of Binance."""
    return Trade("binance", symbol, number, side, Decimal(price), Decimal(2), event, "", 0, 0)


def line_of(trade: Trade, received: datetime | None = None, frame: Callable[[str], str] = lambda text: text) -> str:
    """A line of a tape that says it, received 20 ms after it was made unless told otherwise.

    Args:
        trade: of Binance.
        received: when.
        frame: changes the frame's text.
    """
    us = (trade.event_time - EPOCH) // timedelta(microseconds=1)
    time, name = us // 1000 if us % 1000 == 0 else us, trade.symbol.replace("-", "")
    seller = "true" if trade.side == "sell" else "false"
    data = (
        f'{{"e":"trade","E":{time},"s":"{name}","t":{trade.trade_id},"p":"{trade.price:f}","q":"{trade.quantity:f}",'
        f'"T":{time},"m":{seller},"M":true}}'
    )
    received_us = us + 20_000 if received is None else (received - EPOCH) // timedelta(microseconds=1)
    text = frame(f'{{"stream":"{name.lower()}@trade","data":{data}}}')
    return json.dumps({"received_ns": received_us * 1000, "frame": text})


class Market:
    """Trades of three symbols, a second apart, that are said in groups; and all that has been said."""

    def __init__(self) -> None:
        self.said: list[Trade] = []

    def more(self, number: int) -> list[str]:
        """The next lines of its tape."""
        first = len(self.said)
        new = [
            trade_of(n // 3, START + timedelta(seconds=n), f"{100 + n % 7}.{n}", SYMBOLS[n % 3], ("buy", "sell")[n % 2])
            for n in range(first, first + number)
        ]
        self.said += new
        return [line_of(trade) for trade in new]

    def ids(self) -> list[tuple[str, int | None]]:
        """Symbols and ids of all trades that were said."""
        return sorted((trade.symbol, trade.trade_id) for trade in self.said)


class StreamLake:
    """A lake and the brokers that it reads.

    Args:
        spark: the session of the tests.
        settings: of the lake's home.
        bootstrap_servers: the brokers.
    """

    def __init__(self, spark: SparkSession, settings: Settings, bootstrap_servers: str) -> None:
        self.settings = settings
        self.bootstrap_servers = bootstrap_servers
        self._spark = spark
        self.lake.create(*TABLES)

    @property
    def lake(self) -> Lake:
        """The lake as a process that has just begun has it."""
        return Lake(self._spark, self.settings)

    @property
    def checkpoint(self) -> Path:
        return checkpoint_folder(self.settings)

    def publish(self, lines: Iterable[str]) -> None:
        """Bring lines of a tape to Kafka."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        tape = self.settings.home / f"tape-{next(_tapes)}.jsonl"
        tape.write_text("\n".join(lines) + "\n")
        replay(tape, "binance", self.settings, self.bootstrap_servers)

    def run(self, stop: threading.Event | None = None) -> None:
        """What `cryptolake run --until-idle` does; with `stop`, what `run` does until it is set."""
        carry(self.lake, self.bootstrap_servers, until_idle=stop is None, stop=stop or threading.Event())

    def step(self, name: str) -> int:
        """What `cryptolake step` does."""
        return take_step(name, self.lake, lambda: self.bootstrap_servers)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table, by delta-rs."""
        rows: list[dict[str, Any]] = DeltaTable(str(self.lake.path(table))).to_pyarrow_table().to_pylist()
        return rows

    def ids(self) -> list[tuple[str, int]]:
        """The symbols and ids in silver.trades, each as often as it is there."""
        return sorted((row["symbol"], row["trade_id"]) for row in self.rows(silver.TRADES))

    def assert_holds(self, trades: Iterable[Trade]) -> None:
        """Every one of these trades is in silver once and as it was said, nothing else is, and all above follows."""
        said = {(trade.symbol, trade.trade_id): trade for trade in trades}
        held = self.rows(silver.TRADES)
        assert self.ids() == sorted(said)
        for row in held:
            trade = said[row["symbol"], row["trade_id"]]
            names = ("side", "price", "quantity", "event_time")
            assert {name: row[name] for name in names} == {name: getattr(trade, name) for name in names}
        bars = oracle.bars(said.values())
        assert self._values(silver.ONE_MINUTE_BARS, bars) == bars
        windows = oracle.five_minute_bars(bars)
        assert self._values(silver.FIVE_MINUTE_BARS, windows) == windows
        trends = oracle.trends({key: bar["average_price"] for key, bar in bars.items()})
        assert self._values(silver.SIX_MINUTE_TRENDS, trends) == trends
        self.assert_audited()

    def assert_audited(self) -> None:
        assert [f"{r.name}: {r.examples}" for r in audit(self.settings) if not r.passed] == []

    def _values(self, table: Table, like: dict[tuple[str, str, datetime], dict[str, Any]]) -> dict[Any, Any]:
        names = next(iter(like.values())).keys()
        rows = self.rows(table)
        found = {tuple(row[name] for name in table.key): {name: row[name] for name in names} for row in rows}
        assert len(found) == len(rows), f"a key of {table.name} is there twice"
        return found
