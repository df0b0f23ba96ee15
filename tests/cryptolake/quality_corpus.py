"""Rows of silver's tables, good ones and ones that break each rule once, at its bound and just beyond it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa

from lakehouse.arrow import contract_schema
from lakehouse.table import Table
from silver import tables as silver_tables
from silver.replay import OUTCOMES
from silver.rule_kinds import Digits, Range, Required
from silver.rules import TableRules
from silver.tables import (
    CANDLES,
    FIVE_MINUTE_BARS,
    GAPS,
    ONE_MINUTE_BARS,
    PRICES,
    QUARANTINE,
    SIX_MINUTE_TRENDS,
    SYMBOLS,
    TICKERS,
    TRADES,
)

Row = dict[str, Any]
EXACT = Context(prec=100)
US = dt.timedelta(microseconds=1)
MINUTE = dt.timedelta(minutes=1)
TIME = dt.datetime(2024, 8, 9, 0, 1, tzinfo=dt.UTC)
WINDOW = TIME - MINUTE
FIRST = dt.datetime(2009, 1, 1, tzinfo=dt.UTC)
PLACE = {"topic_id": "id", "topic": "binance.trade", "partition": 0, "offset": 1, "row": 0}
ONE = Decimal("1.5")
BAR_PRICES = {name: ONE for name in ("open", "high", "low", "close")}


@dataclass(frozen=True)
class Case:
    """One row: what differs from the good one, and what some rules must say of it (True: broken)."""

    changes: Row
    broken: dict[str, bool]


def case(_broken: dict[str, bool] | str | None = None, **changes: Any) -> Case:
    broken = {_broken: True} if isinstance(_broken, str) else _broken or {}
    return Case(changes, broken)


GOOD: dict[str, Row] = {
    TRADES.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "trade_key": "7", "base": "BTC", "quote": "USDT"},
        **{"venue_symbol": "BTCUSDT", "trade_id": 7, "side": "buy", "price": Decimal("61837.63"), **PLACE},
        **{"quantity": Decimal("0.02"), "event_time": TIME, "received_at": TIME, "session_id": "S", "sequence": 1},
        **{"origin": "stream"},
    },
    CANDLES.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "minute": TIME, "venue_symbol": "BTCUSDT", **BAR_PRICES, **PLACE},
        **{"volume": Decimal(3), "buy_volume": Decimal(1), "amount": Decimal("4.5"), "trade_count": 2},
        **{"received_at": TIME + 10**6 * MINUTE, "origin": "backfill"},
    },
    ONE_MINUTE_BARS.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "minute": TIME, **BAR_PRICES, "volume": Decimal(3)},
        **{
            "buy_volume": Decimal(1),
            "amount": Decimal("4.5"),
            "price_sum": Decimal(3),
            "average_price": Decimal("1.5"),
        },
        **{"vwap": Decimal("1.5"), "trade_count": 2, "origin": "trades", "revised_at": None},
    },
    FIVE_MINUTE_BARS.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "window_start": WINDOW, **BAR_PRICES, "volume": Decimal(3)},
        **{
            "buy_volume": Decimal(1),
            "amount": Decimal("4.5"),
            "price_sum": Decimal(3),
            "average_price": Decimal("1.5"),
        },
        **{"vwap": Decimal("1.5"), "trade_count": 2, "origin": "trades", "revised_at": None},
    },
    SIX_MINUTE_TRENDS.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "minute": TIME, "average_price": Decimal("1.5")},
        **{"minutes_present": 6, "change_pct": Decimal("-0.5"), "trend": "down", "revised_at": TIME},
    },
    TICKERS.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "close_time": TIME, "base": "BTC", "quote": "USDT", **PLACE},
        **{"venue_symbol": "BTCUSDT", "last_price": ONE, "price_change": -ONE, "price_change_pct": Decimal(-50)},
        **dict.fromkeys(("weighted_average_price", "previous_close_price", "bid_price", "ask_price"), Decimal(0)),
        **dict.fromkeys(("last_quantity", "bid_quantity", "ask_quantity"), Decimal(0)),
        **dict.fromkeys(("open_price", "high_price", "low_price", "volume", "quote_volume"), ONE),
        **{"open_time": TIME - 1440 * MINUTE, "trade_count": 2, "received_at": TIME, "origin": "stream"},
    },
    PRICES.name: {
        **{"venue": "coingecko", "symbol": "BTC-USD", "updated_at": TIME, "base": "BTC", "quote": "USD", **PLACE},
        **{"venue_symbol": "bitcoin", "price": ONE, "volume_24h": ONE, "change_24h_pct": -ONE, "market_cap": ONE},
        **{"received_at": TIME, "origin": "stream"},
    },
    GAPS.name: {
        **{"venue": "binance", "symbol": "BTC-USDT", "from_id": 5, "to_id": 9, "detected_at": TIME},
        **{"status": "closed", "closed_at": TIME, "reason": "trade ids are missing"},
    },
    QUARANTINE.name: {
        **{**PLACE, "row": -1, "payload": b"{", "reasons": ["truncated"], "rule_version": "1", "first_seen": TIME},
        **{"replayed_at": TIME, "outcome": "rejected", "replay_rule_version": "12"},
    },
    SYMBOLS.name: {
        **{"venue": "binance", "venue_symbol": "BTCUSDT", "since": TIME, "base": "BTC", "quote": "USDT", **PLACE},
        **{"symbol": "BTC-USDT", "source": "exchangeInfo", "received_at": TIME, "origin": "stream"},
    },
}

NAMES = [
    *(case({"symbol_form": False}, symbol=name) for name in ("B-U", "1000SATS-USDT", "币安-USDT", "A" * 40 + "-B")),
    *(
        case("symbol_form", symbol=name)
        for name in ("", "BTC", "BTC-", "-USDT", "btc-USDT", "BTC-USDT\n", "BTC-USDT ", "A-B-C", "A" * 41 + "-B")
    ),
    *(case("symbol_form", symbol=name) for name in ("<SCRIPT>-USDT", '"><img src=x onerror=alert(1)>', "A\x00-B")),
]
MINUTES = [
    case({"minute_range": False}, minute=FIRST),
    case("minute_range", minute=FIRST - MINUTE),
    case("minute_full", minute=TIME + US),
    case("minute_full", minute=TIME - US),
]


def order(rule: str, lesser: str, greater: str, value: Any, step: Any) -> list[Case]:
    """Equal, and one step the wrong way."""
    return [
        case({rule: False}, **{lesser: value, greater: value}),
        case({rule: True}, **{lesser: value + step, greater: value}),
        case({rule: False}, **{lesser: None}),
        case({rule: False}, **{greater: None}),
    ]


QUIET = dict.fromkeys(("bybit_key_form", "bybit_sequence_present", "bybit_id_absent"), False)


def bybit(rule: str | None, **changes: Any) -> Case:
    """A trade of Bybit that breaks one rule of its own, or none."""
    good = {"venue": "bybit-linear", "trade_key": "b1e2c8f7-3a00", "trade_id": None, "venue_sequence": 5}
    return case({**QUIET, "bybit_market": False, **({rule: True} if rule else {})}, **{**good, **changes})


def of_time(**changes: Any) -> Row:
    """What makes the gap one of a lost connection."""
    cut = {"from_id": None, "to_id": None, "from_time": TIME, "to_time": TIME + MINUTE, "symbol": "*"}
    return {**cut, "status": "unrecoverable", "closed_at": None, **changes}


PRICE_STEP = Decimal("1E-12")
CANDLE_ORDERS = [
    *order("low_to_open", "low", "open", ONE, PRICE_STEP),
    *order("low_to_close", "low", "close", ONE, PRICE_STEP),
    *order("open_to_high", "open", "high", ONE, PRICE_STEP),
    *order("close_to_high", "close", "high", ONE, PRICE_STEP),
    *order("bought_to_volume", "buy_volume", "volume", Decimal(3), Decimal("1E-8")),
]
BARS = [
    *NAMES,
    *CANDLE_ORDERS,
    *order("low_to_average", "low", "average_price", ONE, PRICE_STEP),
    *order("average_to_high", "average_price", "high", ONE, Decimal("1E-16")),
    *order("low_to_vwap", "low", "vwap", ONE, PRICE_STEP),
    *order("vwap_to_high", "vwap", "high", ONE, Decimal("1E-16")),
    case({"trade_count_range": False}, trade_count=1),
    case("trade_count_range", trade_count=0),
    case({"origin_known": False}, origin="klines"),
    case("origin_known", origin="stream"),
]
GAP_IS_GOOD = dict.fromkeys(
    ("status_known", "closed_at_present", "closed_at_absent", "to_id_present", "to_id_absent", "from_time_present"),
    False,
) | dict.fromkeys(("from_time_absent", "to_time_present", "to_time_absent"), False)
NOT_REPLAYED = dict.fromkeys(
    ("replayed_at_present", "replayed_at_absent", "replay_version_present", "replay_version_absent"), False
)
CASES: dict[str, list[Case]] = {
    TRADES.name: [
        *NAMES,
        case({"amount_range": False}, price=Decimal(10**6), quantity=Decimal(10**6)),
        case("amount_range", price=Decimal(1), quantity=Decimal("1000000000000.00000001")),
        case("amount_range", price=Decimal("1E+12") - PRICE_STEP, quantity=EXACT.create_decimal("9999999999999999.9")),
        case({"event_time_range": False}, event_time=FIRST),
        case("event_time_range", event_time=FIRST - US),
        case({"event_time_ahead": False, "clock_skew": True}, event_time=TIME + 60 * MINUTE),
        case({"event_time_ahead": True, "clock_skew": True}, event_time=TIME + 60 * MINUTE + US),
        case({"clock_skew": False}, event_time=TIME + dt.timedelta(seconds=5)),
        case({"clock_skew": True, "event_time_ahead": False}, event_time=TIME + dt.timedelta(seconds=5) + US),
        case({"venue_form": False}, venue="coincap-bitso"),
        *(case("venue_form", venue=name) for name in ("", "Binance", "binance\n", "<b>", "v" * 62)),
        *(case("side_known", side=name) for name in ("", "Buy", "buy ", "hold")),
        case({"side_known": False}, side="sell"),
        case("origin_known", origin="tape"),
        *(case({"origin_known": False}, origin=name) for name in ("backfill", "replay")),
        *(case({"trade_id_range": False}, trade_id=number) for number in (0, 2**63 - 1, None)),
        case("trade_id_range", trade_id=-1),
        *(case({"venue_sequence_range": False}, venue_sequence=number) for number in (0, 2**63 - 1, None)),
        case("venue_sequence_range", venue_sequence=-1),
        *(bybit(None, venue=name) for name in ("bybit-spot", "bybit-linear")),
        *(case("bybit_market", venue=name) for name in ("bybit", "bybit-", "bybit-option", "bybit-spots")),
        *(case({"bybit_market": False}, venue=name) for name in ("by", "a-bybit", "coincap-bybit", None)),
        *(bybit(None, trade_key=key) for key in ("2290000000526711439", "b1e2c8f7-3a", "k" * 64)),
        *(bybit("bybit_key_form", trade_key=key) for key in ("", "a b", "7\n", "<b>", "k" * 65)),
        case({"bybit_key_form": False}, trade_key="S:1:0"),
        bybit("bybit_sequence_present", venue_sequence=None),
        bybit("bybit_id_absent", trade_id=7),
        *(case(QUIET, trade_id=number, venue_sequence=None) for number in (None, 7)),
        *(bybit(None, venue="coincap-bybit", venue_sequence=None, trade_id=number) for number in (None, 7)),
    ],
    CANDLES.name: [
        *NAMES,
        *MINUTES,
        *CANDLE_ORDERS,
        case({"minute_over": False}, received_at=TIME + MINUTE, minute=TIME),
        case("minute_over", received_at=TIME + MINUTE - US, minute=TIME),
        case({"trade_count_range": False}, trade_count=0),
        case("trade_count_range", trade_count=-1),
    ],
    ONE_MINUTE_BARS.name: [*BARS, *MINUTES],
    FIVE_MINUTE_BARS.name: [
        *BARS,
        case({"window_range": False}, window_start=FIRST),
        case("window_range", window_start=FIRST - 5 * MINUTE),
        case("window_full", window_start=WINDOW + MINUTE),
        case("window_full", window_start=WINDOW - US),
    ],
    SIX_MINUTE_TRENDS.name: [
        *NAMES,
        *MINUTES,
        *(case({"minutes_present_range": False}, minutes_present=number) for number in (1, 6)),
        *(case("minutes_present_range", minutes_present=number) for number in (0, 7, -1)),
        *(case({"trend_known": False}, trend=name) for name in ("up", "flat")),
        *(case("trend_known", trend=name) for name in ("", "Up", "sideways")),
    ],
    TICKERS.name: [
        *NAMES,
        case({"close_time_range": False}, close_time=FIRST),
        case("close_time_range", close_time=FIRST - US),
        case({"close_time_ahead": False}, close_time=TIME + 60 * MINUTE),
        case("close_time_ahead", close_time=TIME + 60 * MINUTE + US),
        case({"trade_count_range": False}, trade_count=0),
        case("trade_count_range", trade_count=-1),
        *order("open_to_close_time", "open_time", "close_time", TIME, US),
        *order("low_to_last", "low_price", "last_price", ONE, PRICE_STEP),
        *order("last_to_high", "last_price", "high_price", ONE, PRICE_STEP),
    ],
    PRICES.name: [
        *NAMES,
        case({"updated_at_range": False}, updated_at=FIRST),
        case("updated_at_range", updated_at=FIRST - US),
        case({"updated_at_ahead": False}, updated_at=TIME + 60 * MINUTE),
        case("updated_at_ahead", updated_at=TIME + 60 * MINUTE + US),
    ],
    GAPS.name: [
        *(each for each in NAMES if each.changes["symbol"] != "BTC"),
        case({"symbol_form": False}, symbol="*"),
        case("symbol_form", symbol="**"),
        *(case(GAP_IS_GOOD, status=name, closed_at=None) for name in ("open", "unrecoverable")),
        *(case({"closed_at_absent": True}, status=name) for name in ("open", "unrecoverable")),
        case({"closed_at_present": True, "closed_at_absent": False}, closed_at=None),
        case({"status_known": True, "closed_at_absent": False, "closed_at_present": False}, status="lost"),
        case(GAP_IS_GOOD, **of_time()),
        case({"to_id_present": True}, to_id=None),
        case({"to_id_absent": True}, **of_time(to_id=9)),
        case({"from_time_present": True, "to_time_present": False}, **of_time(from_time=None)),
        case({"from_time_present": False, "to_time_present": True}, **of_time(to_time=None)),
        case({"from_time_present": True, "to_time_present": True}, **of_time(from_time=None, to_time=None)),
        case({"from_time_absent": True, "to_time_absent": False}, from_time=TIME),
        case({"from_time_absent": False, "to_time_absent": True}, to_time=TIME),
        *order("ids_in_order", "from_id", "to_id", 2**63 - 2, 1),
        *order("times_in_order", "from_time", "to_time", TIME, US),
        case({"to_time_ahead": False}, to_time=TIME + 60 * MINUTE),
        case("to_time_ahead", to_time=TIME + 60 * MINUTE + US),
        *order("closed_after_found", "detected_at", "closed_at", TIME, US),
    ],
    QUARANTINE.name: [
        case({"row_range": False}, row=-1),
        case("row_range", row=-2),
        case({"reasons_given": False}, reasons=["a", "b"]),
        case("reasons_given", reasons=[]),
        case({"payload_present": False}, payload=b""),
        *(case({"rule_version_form": False}, rule_version=version) for version in ("9", "10")),
        *(case("rule_version_form", rule_version=version) for version in ("", "0", "v2", "2\n", "1.0")),
        *(case({"outcome_known": False}, outcome=outcome) for outcome in OUTCOMES),
        *(case("outcome_known", outcome=outcome) for outcome in ("", "Silver", "mended")),
        case(NOT_REPLAYED, outcome=None, replayed_at=None, replay_rule_version=None),
        case({**NOT_REPLAYED, "replayed_at_absent": True}, outcome=None, replay_rule_version=None),
        case({**NOT_REPLAYED, "replay_version_absent": True}, outcome=None, replayed_at=None),
        case({**NOT_REPLAYED, "replayed_at_present": True}, replayed_at=None),
        case({**NOT_REPLAYED, "replay_version_present": True}, replay_rule_version=None),
        case("replay_version_form", replay_rule_version="two"),
        *order("replayed_after_seen", "first_seen", "replayed_at", TIME, US),
    ],
    SYMBOLS.name: [
        *NAMES,
        case({"since_range": False}, since=FIRST),
        case("since_range", since=FIRST - US),
        *(case("venue_form", venue=name) for name in ("", "Binance", "<b>")),
        case("source_known", source="wiki"),
        case({"source_known": False}, source="conf"),
        case({"received_at_present": False, "offset_present": False}, source="conf", received_at=None, offset=None),
        case("received_at_present", received_at=None),
        case("offset_present", offset=None),
    ],
}
TABLES = {table.name: table for table in silver_tables.TABLES if table.name in GOOD}
# The column of the key in which the rows of the corpus differ, and by what.
DIFFERS: dict[str, tuple[str, Any]] = {
    TRADES.name: ("trade_key", lambda n: f"T{n}"),
    CANDLES.name: ("minute", lambda n: TIME + n * MINUTE),
    ONE_MINUTE_BARS.name: ("minute", lambda n: TIME + n * MINUTE),
    FIVE_MINUTE_BARS.name: ("window_start", lambda n: WINDOW + 5 * n * MINUTE),
    SIX_MINUTE_TRENDS.name: ("minute", lambda n: TIME + n * MINUTE),
    TICKERS.name: ("close_time", lambda n: TIME - n * MINUTE),
    PRICES.name: ("updated_at", lambda n: TIME - n * MINUTE),
    GAPS.name: ("venue", lambda n: f"venue-{n}"),
    QUARANTINE.name: ("offset", lambda n: n),
    SYMBOLS.name: ("venue_symbol", lambda n: f"S{n}"),
}


def cases_of(table: str, rules: TableRules) -> list[Case]:
    """The good row, a null in every required column, every number at and beyond its bounds, and the cases by hand."""
    found = [case()]
    for rule in rules.rules:
        if isinstance(rule, Required) and rule.where is None:
            found.append(case(rule.name, **{rule.column: None}))
        if isinstance(rule, Digits):
            found += _numbers(rule, rules)
    return found + CASES[table]


def rows_of(table: str, cases: list[Case]) -> pa.Table:
    """The rows of the cases, each with a key of its own."""
    column, different = DIFFERS[table]
    rows = [{**GOOD[table], column: different(n), **each.changes} for n, each in enumerate(cases)]
    return pa.Table.from_pylist(rows, schema=wide_schema(TABLES[table]))


def wide_schema(table: Table) -> pa.Schema:
    """The contract's columns, with a digit more before and behind the point of every number where there is room."""
    fields = []
    for field in contract_schema(table):
        kind = field.type
        if pa.types.is_decimal(kind):
            kind = pa.decimal128(min(38, kind.precision + 2), kind.scale + 1)
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def _numbers(digits: Digits, rules: TableRules) -> list[Case]:
    column = digits.column
    least = next((r for r in rules.rules if isinstance(r, Range) and r.name == f"{column}_range"), None)
    step = Decimal(1).scaleb(-digits.scale)
    bound = Decimal(0) if least is None else least.above if least.above is not None else least.at_least
    assert isinstance(bound, Decimal)

    def number(value: Decimal, *, fits: bool) -> Case:
        broken = {digits.name: not fits}
        if least is not None:
            broken[least.name] = value < bound or value == least.above
        return case(broken, **{column: value})

    found = [
        number(bound, fits=True),
        number(bound + step, fits=True),
        number(bound - step, fits=True),
        number(EXACT.add(bound, step.scaleb(-1)), fits=False),
        number(EXACT.subtract(bound, step.scaleb(-1)), fits=False),
    ]
    if digits.precision < 37:
        greatest = Decimal(1).scaleb(digits.precision - digits.scale)
        found.append(number(EXACT.subtract(greatest, step), fits=True))
        found.append(number(greatest, fits=False))
        found.append(number(-greatest, fits=False))
    if column not in rules.required:
        found.append(case({digits.name: False}, **{column: None}))
    return found
