"""What a batch holds, told before any of it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from silver.high_water import Span, number_columns, span_figures
from silver.trades import ROUTE, TRADE_ROUTE


@dataclass(frozen=True)
class Survey:
    """What a batch holds: rows by route, trades by scope, and when its newest row was received (UTC, us)."""

    routes: Mapping[str, int]
    spans: list[Span]
    newest_us: int


def survey(rows: DataFrame) -> Survey:
    """Count rows by route, and the trades among them by scope, in one job over the batch."""
    is_trade = f.col(ROUTE) == TRADE_ROUTE
    scopes = [f.when(is_trade, f.col(name)).alias(name) for name in ("venue", "numbered_by", "scope", "number")]
    # Fills of one match share the number of the venue's order, so their keys tell them apart.
    scopes.append(f.when(is_trade & f.col("venue_sequence").isNotNull(), f.col("trade_key")).alias("key"))
    told = rows.select(ROUTE, "venue", "received_at", "venue_sequence", "trade_key", *number_columns())
    numbers = told.select(ROUTE, "received_at", *scopes)
    # Of each number once, so that repeats and holes can be told from counts.
    by_number = numbers.groupBy(ROUTE, "venue", "numbered_by", "scope", "number", "key").agg(
        f.count("*").alias("rows"),
        f.min("received_at").alias("received_at"),
        f.max("received_at").alias("newest"),
    )
    found = by_number.groupBy(ROUTE, "venue", "numbered_by", "scope").agg(
        f.sum("rows").alias("rows"), *span_figures(f.count("*")), f.unix_micros(f.max("newest")).alias("newest_us")
    )
    routes: dict[str, int] = {}
    spans, newest_us = [], 0
    for row in found.collect():
        values = row.asDict()
        route, newest = values.pop(ROUTE), values.pop("newest_us")
        routes[route] = routes.get(route, 0) + row["rows"]
        newest_us = max(newest_us, newest or 0)
        if route == TRADE_ROUTE:
            spans.append(Span(**values))
    return Survey(routes, spans, newest_us)
