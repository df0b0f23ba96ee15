"""The figures of silver by Spark and past it, so that one test asks the same of both."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bars_oracle import Trade
from pyspark.sql import DataFrame, SparkSession

from lakehouse.arrow import contract_schema, frame_of
from lakehouse.errors import OutOfRangeError
from lakehouse.selecting import select
from lakehouse.table import Table
from silver import bars, trends
from silver.few_bars import SUMS_OF_TRADES, few_bars, few_candle_bars, few_chosen_bars, few_five_minute_bars
from silver.few_trends import few_trends
from silver.tables import TRADES

_TRADE = pa.schema([contract_schema(TRADES).field(field.name) for field in fields(Trade)])


def rows_of(table: Table, rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows of a contract, what they lack null, in no order."""
    shuffled = list(rows)
    random.Random(len(shuffled)).shuffle(shuffled)  # noqa: S311
    nullable = [field.with_nullable(True) for field in contract_schema(table)]
    return pa.Table.from_pylist(shuffled, pa.schema(nullable))


@dataclass(frozen=True)
class Way:
    """One way to make silver's figures.

    Args:
        spark: the session.
        in_memory: whether it goes past Spark, as it does where tables are in folders.
    """

    spark: SparkSession
    in_memory: bool

    def minutes(self, trades: Iterable[Trade]) -> pa.Table:
        shuffled = [astuple(trade) for trade in trades]
        random.Random(len(shuffled)).shuffle(shuffled)  # noqa: S311
        columns = zip(*shuffled, strict=True)
        rows = pa.table([pa.array(c, f.type) for c, f in zip(columns, _TRADE, strict=True)], names=_TRADE.names)
        if not self.in_memory:
            return bars.one_minute_bars(frame_of(self.spark, rows)).toArrow()
        minute_us = pc.floor_temporal(rows["event_time"], unit="minute")
        keys = rows.select(["venue", "symbol"]).append_column("minute", minute_us)
        return few_bars(select(SUMS_OF_TRADES, rows, keys=keys))

    def candles(self, rows: pa.Table) -> pa.Table:
        return self._made(bars.candle_bars, few_candle_bars, rows)

    def chosen(self, from_trades: pa.Table, from_candles: pa.Table) -> pa.Table:
        return self._made(bars.chosen_bars, few_chosen_bars, from_trades, from_candles)

    def fives(self, minutes: pa.Table) -> pa.Table:
        return self._made(bars.five_minute_bars, few_five_minute_bars, minutes)

    def trends(self, minutes: pa.Table) -> pa.Table:
        return self._made(trends.six_minute_trends, few_trends, minutes)

    def _made(
        self, by_spark: Callable[..., DataFrame], in_memory: Callable[..., pa.Table], *rows: pa.Table
    ) -> pa.Table:
        if self.in_memory:
            try:
                return in_memory(*rows)
            except OutOfRangeError:
                pass  # as silver.figures does
        return by_spark(*(frame_of(self.spark, one) for one in rows)).toArrow()
