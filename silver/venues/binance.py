"""Binance spot: trade frames (raw and combined), REST historicalTrades, ticker/24hr, lines of the daily dumps.

Contract: binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md, of 2026-07-21. Prices and quantities are
strings, ids and times integers; times in ms, or us where asked for, told apart by magnitude. `m` and `isBuyerMaker` say
that the buyer was the maker, so the taker sold. Known and dropped: e, E, M, a, b; quoteQty, isBestMatch. Dumps
(binance/binance-public-data, README): CSV without quotes, for spot without a header; us from 2025 on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from silver import quality
from silver.fields import Fields
from silver.rows import WHOLE_FRAME, Candle, Frame, ParsedRow, Rejected, SymbolName, Ticker, Trade
from silver.strict_json import Number, Repeated
from silver.symbols import Symbols, is_name, load_symbols
from silver.venues.binance_klines import canonical_candles, parse_klines
from silver.venues.binance_stream import canonical_stream
from silver.venues.venue import CanonicalRows, CanonicalStream, CanonicalTrade, Venue, canonical_digits

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_NAME_CHARS = 40
# Columns of silver.tickers by the venue's names, each with what it may hold.
_TICKER_DECIMALS = {
    "lastPrice": ("last_price", quality.PRICE),
    "priceChange": ("price_change", quality.PRICE_CHANGE),
    "priceChangePercent": ("price_change_pct", quality.CHANGE_PCT),
    "weightedAvgPrice": ("weighted_average_price", quality.PRICE_OR_NONE),
    "prevClosePrice": ("previous_close_price", quality.PRICE_OR_NONE),
    "lastQty": ("last_quantity", quality.QUANTITY_OR_NONE),
    "bidPrice": ("bid_price", quality.PRICE_OR_NONE),
    "bidQty": ("bid_quantity", quality.QUANTITY_OR_NONE),
    "askPrice": ("ask_price", quality.PRICE_OR_NONE),
    "askQty": ("ask_quantity", quality.QUANTITY_OR_NONE),
    "openPrice": ("open_price", quality.PRICE),
    "highPrice": ("high_price", quality.PRICE),
    "lowPrice": ("low_price", quality.PRICE),
    "volume": ("volume", quality.VOLUME),
    "quoteVolume": ("quote_volume", quality.AMOUNT),
}


@dataclass(frozen=True)
class _TradeNames:
    trade_id: str
    price: str
    quantity: str
    time: str
    buyer_is_maker: str
    optional: Mapping[str, type]


_STREAM = _TradeNames("t", "p", "q", "T", "m", {"E": Number, "M": bool, "a": Number, "b": Number})
_REST = _TradeNames("id", "price", "qty", "time", "isBuyerMaker", {"quoteQty": str, "isBestMatch": bool})


def parse_trades(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse a stream frame (an object: one trade) or a REST body (an array: a trade a row)."""
    if isinstance(value, dict):
        return [_stream_trade(frame, value)]
    if isinstance(value, list):
        return [_rest_trade(frame, row, item) for row, item in enumerate(value)]
    return [Rejected(WHOLE_FRAME, ("not_object",))]


def parse_symbols(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse a REST exchangeInfo body: an object whose list `symbols` says what each name stands for."""
    if not isinstance(value, dict):
        return [Rejected(WHOLE_FRAME, ("not_object",))]
    if isinstance(value, Repeated):
        return [Rejected(WHOLE_FRAME, ("duplicate_key",))]
    items = value.get("symbols")
    if not isinstance(items, list):
        return [Rejected(WHOLE_FRAME, ("wrong_type:symbols" if "symbols" in value else "missing_field:symbols",))]
    return [_symbol_name(frame, row, item) for row, item in enumerate(items)]


def parse_dump(frame: Frame, payload: Any) -> list[ParsedRow]:
    """Parse lines of a dump, a trade a row; a file may begin with a header."""
    lines = payload.removesuffix(b"\n").split(b"\n")
    rows = [_dump_trade(frame, row, line.removesuffix(b"\r")) for row, line in enumerate(lines)]
    starts_with_header = frame.sequence == 0 and lines[0].startswith(b"id,")
    return rows[1:] if starts_with_header else rows


def parse_tickers(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse a REST ticker/24hr body: a list of tickers in full."""
    if not isinstance(value, list):
        return [Rejected(WHOLE_FRAME, ("not_array",))]
    return [_ticker(frame, row, item) for row, item in enumerate(value)]


def canonical_trade() -> CanonicalTrade:
    """The stream's own form today: e, E, s, t, p, q, T, m, M in this order, raw or combined."""
    quotes = "|".join(map(re.escape, load_symbols().binance_quotes))
    # The shortest base leaves the longest quote, as Symbols.of_binance splits it.
    pattern = (
        r'\A(?=\{"e"[^}]*\}\z|\{"stream"[^}]*\}\}\z)(?:\{"stream":"[a-z0-9]{1,40}@trade","data":)?'
        rf'\{{"e":"trade","E":[1-9][0-9]{{12,15}},"s":"([A-Z0-9]{{1,20}}?)({quotes})","t":(0|[1-9][0-9]{{0,17}}),'
        rf'"p":"({canonical_digits(12, 12)})","q":"({canonical_digits(16, 8)})",'
        r'"T":([1-9][0-9]{12}(?:[0-9]{3})?),"m":(true|false),"M":(?:true|false)\}\}?\z'
    )
    return CanonicalTrade(pattern, "binance,$1$2,$1,$2,$3,$4,$5,$6,$7")


def _stream_trade(frame: Frame, value: dict[str, Any]) -> ParsedRow:
    if "data" not in value:
        return _trade(frame, value, _STREAM, WHOLE_FRAME, None)
    # Of the same class: one that tells of a key twice stays one.
    wrapper = Fields(type(value)({**value, "data": None}), frame.received_us)
    wrapper.text("stream")
    data = value["data"]
    if not isinstance(data, dict):
        wrapper.reasons.append("null_field:data" if data is None else "wrong_type:data")
        return Rejected(WHOLE_FRAME, tuple(wrapper.reasons))
    wrapper.optional("data", type(None))
    parsed = _trade(frame, data, _STREAM, WHOLE_FRAME, None)
    if isinstance(parsed, Rejected) or wrapper.reasons:
        inner = parsed.reasons if isinstance(parsed, Rejected) else ()
        return Rejected(WHOLE_FRAME, (*wrapper.reasons, *inner))
    extra = wrapper.rescued()
    if extra and isinstance(parsed, Trade):
        return replace(parsed, rescued=f'{{"frame":{extra},"data":{parsed.rescued or "{}"}}}')
    return parsed


def _rest_trade(frame: Frame, row: int, item: Any) -> ParsedRow:
    if not isinstance(item, dict):
        return Rejected(row, ("not_object",))
    return _trade(frame, item, _REST, row, frame.key)


def _dump_trade(frame: Frame, row: int, line: bytes) -> ParsedRow:
    try:
        values = line.decode("ascii").split(",")
    except UnicodeDecodeError:
        return Rejected(row, ("not_ascii",))
    if len(values) > len(_DUMP_FIELDS):
        return Rejected(row, ("extra_field",))
    fields = zip(_DUMP_FIELDS.items(), values, strict=False)
    return _trade(frame, {name: read(text) for (name, read), text in fields}, _REST, row, frame.key)


def _whole(text: str) -> Any:
    return Number(text) if _WHOLE.fullmatch(text) else text


def _flag(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


# Each as the JSON of REST would have it; what is no such value stays text, and is refused as of the wrong type.
_DUMP_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "id": _whole,
    "price": str,
    "qty": str,
    "quoteQty": str,
    "time": _whole,
    "isBuyerMaker": _flag,
    "isBestMatch": _flag,
}


def _trade(frame: Frame, value: dict[str, Any], names: _TradeNames, row: int, symbol_of_key: str | None) -> ParsedRow:
    fields = Fields(value, frame.received_us)
    if names is _STREAM:
        venue_symbol = fields.text("s")
        if "e" in value:
            fields.one_of("e", ("trade",))  # block trades have an id space of their own
    else:
        venue_symbol = symbol_of_key or None
        if venue_symbol is None:
            fields.reasons.append("missing_header:key")
    pair = frame.symbols.of_binance(venue_symbol) if venue_symbol is not None else None
    if venue_symbol is not None and pair is None:
        fields.reasons.append("unknown_symbol")
    trade_id = fields.integer(names.trade_id)
    price = fields.quoted_decimal(names.price, quality.PRICE)
    quantity = fields.quoted_decimal(names.quantity, quality.QUANTITY)
    event_time = fields.time_us(names.time, micros_allowed=True)
    buyer_is_maker = fields.boolean(names.buyer_is_maker)
    quality.check_amount(price, quantity, fields.reasons)
    for field, kind in names.optional.items():
        fields.optional(field, kind)
    if fields.reasons or venue_symbol is None or pair is None or trade_id is None or price is None or quantity is None:
        return Rejected(row, tuple(fields.reasons))
    assert event_time is not None  # noqa: S101 - no reason was noted
    return Trade(
        row=max(row, 0),
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        venue_symbol=venue_symbol,
        trade_key=str(trade_id),
        trade_id=trade_id,
        side="sell" if buyer_is_maker else "buy",
        price=price,
        quantity=quantity,
        event_time=event_time,
        rescued=fields.rescued(),
    )


def _symbol_name(frame: Frame, row: int, item: Any) -> ParsedRow:
    if not isinstance(item, dict):
        return Rejected(row, ("not_object",))
    fields = Fields(item, frame.received_us)
    names = {name: fields.text(name) for name in ("symbol", "baseAsset", "quoteAsset")}
    for name, text in names.items():
        if text is not None and not (is_name(text) and len(text) <= _NAME_CHARS):
            fields.reasons.append(f"unknown_value:{name}")
    venue_symbol, base, quote = names.values()
    if not fields.reasons and venue_symbol != f"{base}{quote}":
        fields.reasons.append("unknown_value:symbol")  # two names could stand for one pair, whose trades would be mixed
    if fields.reasons or venue_symbol is None or base is None or quote is None or frame.received_us is None:
        return Rejected(row, tuple(fields.reasons))
    return SymbolName(row, venue_symbol, frame.received_us, base, quote, f"{base}-{quote}", "exchangeInfo")


def _ticker(frame: Frame, row: int, item: Any) -> ParsedRow:
    if not isinstance(item, dict):
        return Rejected(row, ("not_object",))
    fields = Fields(item, frame.received_us)
    venue_symbol = fields.text("symbol")
    pair = frame.symbols.of_binance(venue_symbol) if venue_symbol is not None else None
    if venue_symbol is not None and pair is None:
        fields.reasons.append("unknown_symbol")
    found = {column: fields.quoted_decimal(name, rule) for name, (column, rule) in _TICKER_DECIMALS.items()}
    open_time = fields.time_us("openTime", micros_allowed=True)
    close_time = fields.time_us("closeTime", micros_allowed=True)
    first_id, last_id = fields.id_if_any("firstId"), fields.id_if_any("lastId")
    trade_count = fields.integer("count")
    if fields.reasons or pair is None or open_time is None or close_time is None or trade_count is None:
        return Rejected(row, tuple(fields.reasons))
    return Ticker(
        row=row,
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        venue_symbol=str(venue_symbol),
        close_time=close_time,
        **{column: number for column, number in found.items() if number is not None},
        open_time=open_time,
        first_id=first_id,
        last_id=last_id,
        trade_count=trade_count,
        rescued=fields.rescued(),
    )


BINANCE = Venue(
    source="binance",
    covers=lambda venue: venue == "binance",
    parsers={
        "trade": parse_trades,
        "kline": parse_klines,
        "ticker": parse_tickers,
        "trade_dump": parse_dump,
        "symbols": parse_symbols,
    },
    texts=frozenset({"trade_dump"}),
    canonical_trade=canonical_trade,
    canonical_stream=CanonicalStream(canonical_stream, Symbols.of_binance),
    canonical_rows={"kline": CanonicalRows(Candle.kind, canonical_candles)},
    ids_rise_by_one=True,
)
