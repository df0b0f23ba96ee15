"""Binance spot: REST klines, one candle a minute.

Contract: binance/binance-spot-api-docs, rest-api.md, of 2026-07-21. A candle is an array of twelve without names;
prices and quantities are strings, times in ms, or us where asked for, told apart by magnitude.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from silver import quality
from silver.fields import Fields
from silver.rows import WHOLE_FRAME, Candle, Frame, ParsedRow, Rejected
from silver.strict_json import faults
from silver.venues.venue import canonical_digits

_MINUTE_US = 60_000_000
_KLINE_FIELDS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trade_count",
    "taker_base",
    "taker_quote",
    "unused",
)
_MS = r"[1-9][0-9]{12}"
# The twelve in the venue's own form of today, by the columns of silver.candles that take them.
_CANONICAL: Mapping[str, str | quality.DecimalRule] = {
    "minute": _MS,
    "open": quality.PRICE,
    "high": quality.PRICE,
    "low": quality.PRICE,
    "close": quality.PRICE,
    "volume": quality.VOLUME,
    "close_time": _MS,
    "amount": quality.AMOUNT,
    "trade_count": r"(?:0|[1-9][0-9]{0,17})",
    "buy_volume": quality.VOLUME,
    "buy_amount": quality.AMOUNT,
    "unused": r'"0"',
}
_TAKEN = {
    name: pa.decimal128(form.precision, form.scale) if isinstance(form, quality.DecimalRule) else pa.int64()
    for name, form in _CANONICAL.items()
    if name not in ("buy_amount", "unused")
}


def parse_klines(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse a REST klines body: an array of arrays of twelve, each a one-minute candle."""
    if not isinstance(value, list):
        return [Rejected(WHOLE_FRAME, ("not_array",))]
    return [_candle(frame, row, item) for row, item in enumerate(value)]


def canonical_candles(frame: Frame) -> Mapping[str, pa.Array] | None:
    """Read a body at once whose every candle is in canonical form, and good.

    Args:
        frame: with all headers, of a size that is allowed.

    Returns:
        the columns of silver.candles that a parser yields, times in us UTC; None when the strict parser must tell.
    """
    pair = frame.symbols.of_binance(frame.key) if frame.key else None
    if pair is None or not _canonical_body().fullmatch(frame.payload):
        return None
    lines = frame.payload[2:-2].replace(b"],[", b"\n").replace(b'"', b"")
    table = csv.read_csv(
        pa.BufferReader(lines),
        csv.ReadOptions(column_names=list(_CANONICAL), use_threads=False),
        convert_options=csv.ConvertOptions(column_types=_TAKEN, include_columns=list(_TAKEN)),
    ).combine_chunks()
    columns = {name: table[name].chunk(0) for name in _TAKEN}
    minute_us, close_us = (columns.pop(name).to_numpy() * 1000 for name in ("minute", "close_time"))
    if not _are_closed_minutes(minute_us, close_us, frame.received_us):
        return None
    named = {"symbol": pair.symbol, "venue_symbol": frame.key}
    repeated = {name: pa.repeat(value, len(minute_us)) for name, value in named.items()}
    return {**repeated, "minute": pa.array(minute_us), **columns}


@lru_cache(maxsize=1)
def _canonical_body() -> re.Pattern[bytes]:
    candle = ",".join(
        _canonical_number(form) if isinstance(form, quality.DecimalRule) else form for form in _CANONICAL.values()
    )
    return re.compile(rf"\[\[{candle}\](?:,\[{candle}\])*+\]".encode())


def _canonical_number(rule: quality.DecimalRule) -> str:
    not_zero = "" if rule.zero_allowed else "(?=[0.]*[1-9])"
    return f'"{not_zero}{canonical_digits(rule.precision - rule.scale, rule.scale)}"'


def _are_closed_minutes(
    minute_us: np.ndarray[Any, Any], close_us: np.ndarray[Any, Any], received_us: int | None
) -> bool:
    """Say whether all are full minutes that were over when they were received."""
    return (
        received_us is not None
        and minute_us.min() >= quality.EARLIEST_US
        and minute_us.max() + _MINUTE_US <= received_us
        and not (minute_us % _MINUTE_US).any()
        and bool((close_us == minute_us + _MINUTE_US - 1000).all())
    )


def _candle(frame: Frame, row: int, item: Any) -> ParsedRow:
    if not isinstance(item, list):
        return Rejected(row, ("not_array",))
    fields = Fields(dict(zip(_KLINE_FIELDS, item, strict=False)), frame.received_us)
    reasons = fields.reasons
    # Fields without names: where their number has changed, nobody knows which of them moved.
    if len(item) > len(_KLINE_FIELDS):
        reasons.extend(["extra_field", *faults(item[len(_KLINE_FIELDS) :])])
    elif len(item) < len(_KLINE_FIELDS):
        reasons.append(f"missing_field:{_KLINE_FIELDS[-1]}")
    pair = frame.symbols.of_binance(frame.key) if frame.key else None
    if pair is None:
        reasons.append("unknown_symbol" if frame.key else "missing_header:key")
    minute = fields.time_us("open_time", micros_allowed=True)
    prices = {name: fields.quoted_decimal(name, quality.PRICE) for name in ("open", "high", "low", "close")}
    volume = fields.quoted_decimal("volume", quality.VOLUME)
    amount = fields.quoted_decimal("quote_volume", quality.AMOUNT)
    buy_volume = fields.quoted_decimal("taker_base", quality.VOLUME)
    fields.quoted_decimal("taker_quote", quality.AMOUNT)
    trade_count = fields.integer("trade_count")
    _check_minute(frame, minute, fields)
    if reasons or pair is None or minute is None or volume is None or amount is None or buy_volume is None:
        return Rejected(row, tuple(reasons))
    return Candle(
        row=row,
        symbol=pair.symbol,
        venue_symbol=str(frame.key),
        minute=minute,
        **{name: price for name, price in prices.items() if price is not None},
        volume=volume,
        buy_volume=buy_volume,
        amount=amount,
        trade_count=int(str(trade_count)),
    )


def _check_minute(frame: Frame, minute: int | None, fields: Fields) -> None:
    close = fields.integer("close_time")
    if minute is None or close is None:
        return
    end = minute + _MINUTE_US
    # The close time is the last ms, or us, of the minute.
    if minute % _MINUTE_US or close not in (end // 1000 - 1, end - 1):
        fields.reasons.append("not_one_minute")
    if frame.received_us is not None and end > frame.received_us:
        fields.reasons.append("open_candle")
