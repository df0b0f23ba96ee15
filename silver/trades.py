"""The fast path: trade frames in canonical form become trades by one regex, natively in Spark."""

from __future__ import annotations

import json
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from silver.contracts.columns import PRICE, QUANTITY
from silver.parse import CONTROL
from silver.row_rules import derived_columns, kept
from silver.rule_kinds import Range, Required
from silver.rules import load_rules
from silver.symbols import Symbols
from silver.tables import TRADES
from silver.venues.registry import VENUES
from silver.venues.venue import CanonicalTrade

ROUTE = "route"
TRADE_ROUTE = "trade"
STRICT_ROUTE = "strict"
CONTROL_ROUTE = "control"
FRAME_COLUMNS = (
    "topic_id",
    "topic",
    "partition",
    "offset",
    "venue",
    "channel",
    "key",
    "session_id",
    "sequence",
    "received_at",
    "origin",
    "payload",
)
_TRADE_FIELDS = (
    "symbol",
    "base",
    "quote",
    "venue_symbol",
    "trade_key",
    "trade_id",
    "venue_sequence",
    "side",
    "price",
    "quantity",
    "event_time",
)
_HEADERS = ("session_id", "sequence", "received_at", "origin")
_PARTS = ("venue", "venue_symbol", "base", "quote", "trade_id", "price", "quantity", "time", "side")
_MS_DIGITS = 13


def route_frames(frames: DataFrame, symbols: Symbols) -> DataFrame:
    """Say for each frame which way it goes, and parse those that are canonical trades.

    Args:
        frames: columns of bronze.frames.
        symbols: what names stand for; those that are not what their text says go to the strict parser.

    Returns:
        FRAME_COLUMNS (the payload only where route is strict), `route` (trade: the columns of a trade follow, filled;
        strict: only the strict parser can tell; control: goes no further), and the trade columns, null unless route is
        trade.
    """
    forms = [(venue.source, venue.canonical_trade()) for venue in VENUES if venue.canonical_trade]
    text = f.col("payload").cast("string")
    flat = frames.select(*FRAME_COLUMNS, text.alias("_text")).withColumn("_flat", _flattened(forms))
    # Unmatched text comes back as it was, so it begins with `{` still.
    matched = f.startswith("_text", f.lit("{")) & ~f.startswith("_flat", f.lit("{"))
    parts = flat.select(*FRAME_COLUMNS, f.when(matched, f.split("_flat", ",")).alias("_parts"))
    fields = parts.select(*FRAME_COLUMNS, *_fields(forms))
    usable = _usable(symbols.contradicted)
    route = (
        f.when(f.col("channel") == CONTROL, CONTROL_ROUTE)
        .when(usable, TRADE_ROUTE)
        .otherwise(STRICT_ROUTE)
        .alias(ROUTE)
    )
    routed = fields.select(*FRAME_COLUMNS, route, *[f.when(usable, f.col(name)).alias(name) for name in _TRADE_FIELDS])
    return routed.withColumn("payload", f.when(f.col(ROUTE) == STRICT_ROUTE, f.col("payload")))


def canonical_trades(routed: DataFrame) -> DataFrame:
    """Take the trades of the fast path, with the columns of silver.trades."""
    trades = routed.where(f.col(ROUTE) == TRADE_ROUTE)
    return trades.withColumns({"row": f.lit(0), "rescued": f.lit(None).cast("string")}).select(*TRADES.columns)


def _flattened(forms: list[tuple[str, CanonicalTrade]]) -> Column:
    def replaced(form: CanonicalTrade) -> Column:
        return f.regexp_replace("_text", f.lit(form.pattern), f.lit(form.parts))

    def of_source(source: str) -> Column:
        return (f.col("channel") == "trade") & f.startswith("venue", f.lit(source))

    start = f.when(of_source(forms[0][0]), replaced(forms[0][1]))
    return reduce(lambda case, form: case.when(of_source(form[0]), replaced(form[1])), forms[1:], start).otherwise(
        f.col("_text")
    )


def _fields(forms: list[tuple[str, CanonicalTrade]]) -> list[Column]:
    part = {name: f.get("_parts", f.lit(place)) for place, name in enumerate(_PARTS)}
    base, quote = (_ticker(part[name], forms) for name in ("base", "quote"))
    trade_id = f.when(part["trade_id"] != "", part["trade_id"]).try_cast("bigint")
    time = part["time"].try_cast("bigint")
    session_key = f.concat_ws(":", "session_id", f.col("sequence").cast("string"), f.lit("0"))
    return [
        part["venue"].alias("_venue"),
        f.concat(base, f.lit("-"), quote).alias("symbol"),
        base.alias("base"),
        quote.alias("quote"),
        part["venue_symbol"].alias("venue_symbol"),
        f.coalesce(f.when(part["trade_id"] != "", part["trade_id"]), session_key).alias("trade_key"),
        trade_id.alias("trade_id"),
        f.lit(None).cast("bigint").alias("venue_sequence"),
        f.when(part["side"].isin("buy", "false"), "buy").otherwise("sell").alias("side"),
        part["price"].try_cast(PRICE).alias("price"),
        part["quantity"].try_cast(QUANTITY).alias("quantity"),
        f.timestamp_micros(f.when(f.length(part["time"]) == _MS_DIGITS, time * 1000).otherwise(time)).alias(
            "event_time"
        ),
    ]


def _ticker(name: Column, forms: list[tuple[str, CanonicalTrade]]) -> Column:
    for source, form in forms:
        if form.assets is not None:
            # One literal that is folded into a map, where create_map would carry two nodes an asset through the plan.
            assets = f.from_json(f.lit(json.dumps(dict(form.assets))), "map<string,string>")
            name = f.when(f.startswith("venue", f.lit(source)), assets[name]).otherwise(name)
    return name


def _usable(contradicted: tuple[str, ...]) -> Column:
    """Nothing is left for the strict parser to say: every header, symbol, range and bound is as it must be.

    The form of symbols, sides and numbers is the doing of the pattern and of the casts.
    """
    rules = load_rules().tables[TRADES.name]
    there = {*_HEADERS, *_TRADE_FIELDS, *rules.derived}
    judged = [
        rule
        for rule in rules.row_rules
        if isinstance(rule, Required | Range) and rule.severity == "reject" and rule.column in there
    ]
    usable = (f.col("_venue") == f.col("venue")) & kept(judged, derived_columns(rules))
    if contradicted:
        usable = usable & ~((f.col("venue") == "binance") & f.col("venue_symbol").isin(*contradicted))
    return f.coalesce(usable, f.lit(False))
