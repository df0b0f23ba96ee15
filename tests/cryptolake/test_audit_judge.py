"""The audit's own reading of frames: what is a trade, what belongs into quarantine, and that silver's parser agrees."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from lake_by_hand import START_US, binance_frame, candle

from cryptolake.audit.judge import Judge
from cryptolake.audit.judged import Frame, Judged
from silver import rows as silver_rows
from silver.parse import parse_frame

RECEIVED_US = START_US + 3_600_000_000
GOOD = binance_frame(7, "61837.63000000", "0.02000000", START_US, "sell")
COINCAP = (
    '{"exchange":"bitso","base":"terra-luna","quote":"euro","direction":"sell","price":80.17,"volume":180,'
    f'"timestamp":{START_US // 1000},"priceUsd":84.57143580503737}}'
)
REST = (
    f'{{"id":7,"price":"4.0","qty":"12.0","quoteQty":"48.0","time":{START_US // 1000},'
    '"isBuyerMaker":true,"isBestMatch":true}'
)
LOST = '{"kind":"unrecoverable","symbol":"BTCUSDT","from_id":7,"to_id":9}'
DUMP = (
    f"8,61837.63000000,0.02000000,1.0,{START_US // 1000},True,True\n"
    f"9,61837.6,0.5,1.0,{START_US + 7},False,True\r\n10,1,2,3,{START_US},true,False\n"
)
BYBIT = (
    f'{{"T":{START_US // 1000},"s":"BTCUSDT","S":"Buy","v":"0.004","p":"65114.20","L":"PlusTick","i":"a9-8",'
    '"BT":false,"RPI":true,"seq":753843954913}'
)
BYBIT_REST = (
    '{"execId":"2290000001189048101","symbol":"BTCUSDT","price":"4.0","size":"12.0","side":"Sell",'
    f'"time":"{START_US // 1000}","isBlockTrade":false,"isRPITrade":false,"seq":"7"}}'
)
HEADERS: dict[str, Any] = {
    "venue": "binance",
    "channel": "trade",
    "key": "BTCUSDT",
    "session_id": "S",
    "sequence": 5,
    "received_us": RECEIVED_US,
    "origin": "stream",
}


def judged(payload: str | bytes, **headers: Any) -> Judged:
    into = Judged()
    body = payload if isinstance(payload, bytes) else payload.encode()
    Judge().judge(0, Frame(**{**HEADERS, **headers}, payload=body), into)
    return into


def coincap(payload: str, **headers: Any) -> Judged:
    return judged(payload, **{"venue": "coincap-bitso", **headers})


def bybit_frame(*trades: str) -> str:
    return f'{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":{START_US // 1000},"data":[{",".join(trades)}]}}'


def bybit_page(*trades: str) -> str:
    return f'{{"retCode":0,"retMsg":"OK","result":{{"category":"spot","list":[{",".join(trades)}]}},"time":1}}'


def with_fields(frame: str, **fields: str) -> str:
    """Replace the text of fields; an empty one takes the field away."""
    content = {key: json.dumps(value) for key, value in json.loads(frame).items()} | fields
    return "{" + ",".join(f'"{key}":{value}' for key, value in content.items() if value) + "}"


def why(found: Judged) -> list[tuple[int, str]]:
    assert [*found.trades, *found.candles, *found.gaps, *found.tickers, *found.prices] == []
    return [(bad.row, bad.why) for bad in found.bad]


def test_a_binance_trade() -> None:
    raw = (0, 0, "BTCUSDT", "7", 7, None, "sell", "61837.63000000", "0.02000000", START_US)
    assert judged(GOOD).trades == [raw]
    assert judged(f'{{"stream":"btcusdt@trade","data":{GOOD}}}').trades == [raw]
    assert judged(with_fields(GOOD, b="1", a="2", X='"MARKET"')).trades == [raw]
    assert judged(with_fields(GOOD, T=str(START_US + 1))).trades[0][-1] == START_US + 1


def test_lines_of_a_dump() -> None:
    found = judged(DUMP, channel="trade_dump")
    assert [(row[1], row[4], row[6], row[9]) for row in found.trades] == [
        (0, 8, "sell", START_US), (1, 9, "buy", START_US + 7), (2, 10, "sell", START_US)
    ]  # fmt: skip
    bad = judged("8,1,2,3\n" + DUMP.replace("False", "no", 1) + "007,1,2,3,1,True,True\n", channel="trade_dump")
    assert [row[1] for row in bad.trades] == [1, 3]
    assert [(one.row, one.why) for one in bad.bad] == [(0, "not_a_dump_line"), (2, "not_a_flag"), (4, "not_an_integer")]


def test_lost_ids() -> None:
    assert judged(LOST, channel="gap").lost == [("BTCUSDT", 7, 9)]
    assert judged(LOST, channel="control").control == [0]
    assert why(judged(LOST.replace("9", "6"), channel="gap")) == [(0, "not_a_range")]


def test_a_coincap_trade_keeps_every_digit() -> None:
    trade = (0, 0, "terra-luna-euro", "S:5:0", None, None, "sell", "80.17", "180", START_US)
    assert coincap(COINCAP).trades == [trade]
    assert coincap(with_fields(COINCAP, priceUsd="")).trades == [trade]
    small = coincap(with_fields(COINCAP, price="1e-12", volume="1E+3")).trades[0]
    assert [Decimal(text) for text in small[7:9]] == [Decimal("0.000000000001"), 1000]


def test_rest_bodies_are_rows() -> None:
    found = judged(f"[{REST},{with_fields(REST, qty='12')},{REST}]", origin="backfill")
    assert [trade[1] for trade in found.trades] == [0, 2]
    assert [(bad.row, bad.why) for bad in found.bad] == [(1, "not_a_number")]
    assert found.arrays == [0]
    assert judged("[]", origin="backfill") == Judged(arrays=[0])


def test_bybit_trades_by_stream_and_rest() -> None:
    found = judged(bybit_frame(BYBIT, with_fields(BYBIT, v="1"), BYBIT), venue="bybit-linear")
    trade = ("BTCUSDT", "a9-8", None, 753843954913, "buy", "65114.20", "0.004", START_US)
    assert found.trades == [(0, 0, *trade), (0, 2, *trade)]
    assert [(bad.row, bad.why) for bad in found.bad] == [(1, "not_a_number")]
    page = judged(bybit_page(BYBIT_REST), venue="bybit-spot", origin="backfill").trades
    assert page == [(0, 0, "BTCUSDT", "2290000001189048101", None, 7, "sell", "4.0", "12.0", START_US)]
    assert why(judged(bybit_page(BYBIT_REST), venue="bybit-linear")) == [(-1, "other_category")]
    assert why(judged(bybit_frame(BYBIT).replace("snapshot", "delta"), venue="bybit-spot")) == [
        (-1, "not_public_trades")
    ]
    other = judged(bybit_frame(BYBIT).replace("publicTrade.BTC", "publicTrade.ETH"), venue="bybit-spot")
    assert why(other) == [(0, "unknown_symbol")]


def test_candles() -> None:
    minute = START_US
    good = candle(minute, "1.5", "2", "3", "4.5", 7)
    found = judged(json.dumps([good, [*good[:6], good[6] - 1, *good[7:]]]), channel="kline")
    assert found.candles == [(0, 0, "BTCUSDT", minute, "1.5", "2", "1.5", "2", "3", "0.5", "4.5", 7)]
    assert [(bad.row, bad.why) for bad in found.bad] == [(1, "not_one_minute")]
    open_one = judged(json.dumps([good]), channel="kline", received_us=minute + 59_000_000)
    assert why(open_one) == [(0, "open_candle")]
    assert why(judged('{"code":-1121,"msg":"Invalid symbol."}', channel="kline")) == [(0, "not_an_array")]


def test_a_disconnect() -> None:
    marker = {"kind": "disconnect", "from_time_us": START_US, "to_time_us": START_US + 1, "reason": "cut"}
    assert coincap(json.dumps(marker), channel="gap").gaps == [(0, 0, "*", START_US, START_US + 1, "cut")]
    assert why(coincap(json.dumps(marker | {"to_time_us": 1}), channel="gap")) == [(0, "not_a_disconnect")]


def test_control_frames_go_no_further_whatever_they_hold() -> None:
    assert judged(b"\xff", channel="control", session_id=None) == Judged(control=[0])


@pytest.mark.parametrize("header", ["venue", "channel", "session_id", "sequence", "received_us", "origin"])
def test_a_missing_header(header: str) -> None:
    assert why(judged(GOOD, **{header: None})) == [(-1, "missing_header")]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"venue": "kraken"}, "unknown_venue"),
        ({"venue": "coincap-"}, "unknown_venue"),
        ({"channel": "depth"}, "unknown_channel"),
        ({"channel": "oversize"}, "oversize"),
    ],
)
def test_frames_of_no_known_kind(headers: dict[str, Any], reason: str) -> None:
    assert why(judged(GOOD, **headers)) == [(-1, reason)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_json"),
        (b"503 oops", "trailing_data"),
        (GOOD[:-9].encode(), "not_json"),
        (GOOD.encode() + GOOD.encode(), "trailing_data"),
        (GOOD.encode() + b" x", "trailing_data"),
        (GOOD.replace("BTC", "B\xff").encode("latin-1"), "bad_utf8"),
        (b"\xef\xbb\xbf" + GOOD.encode(), "not_json"),
        (GOOD.encode("utf-16"), "bad_utf8"),
        (b"null", "not_an_object"),
        (b"42", "not_an_object"),
        (b'{"e":"trade","p":' + b"[" * 2000 + b"]" * 2000 + b"}", "too_deep"),
        (b'{"e":"trade","p":' + b"[" * 32 + b"]" * 32 + b"}", "too_deep"),
        (GOOD.replace('"t":7', '"t":7,"t":7').encode(), "duplicate_key"),
        (GOOD.replace('"M":true', '"M":NaN').encode(), "not_finite"),
        (GOOD.replace("BTCUSDT", "BTC\\u0000USDT").encode(), "control_char"),
        (GOOD.replace("BTCUSDT", "BTC\\ud800USDT").encode(), "half_surrogate"),
        (b"[" * 40 + b"]" * 40, "too_deep"),
        (b'{"a":"' + b"x" * 600_000 + b'"}', "oversize"),
    ],
)
def test_bytes_that_are_no_document(payload: bytes, reason: str) -> None:
    assert [text for _, text in why(judged(payload))] == [reason]


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("p", "61837.63", "not_a_number"),
        ("p", '"61,837"', "not_a_number"),
        ("p", '"1e3"', "not_a_number"),
        ("p", '" 1"', "not_a_number"),
        ("p", '"1_0"', "not_a_number"),
        ("p", '"٣"', "not_a_number"),
        ("p", '"+1"', "not_a_number"),
        ("p", '"007"', "not_a_number"),
        ("p", '"NaN"', "not_a_number"),
        ("p", "null", "not_a_number"),
        ("p", "", "not_a_number"),
        ("p", '["1"]', "not_a_number"),
        ("p", '"0.00"', "non_positive"),
        ("p", '"-1"', "non_positive"),
        ("p", '"0.0000000000001"', "precision_exceeded"),
        ("p", '"1.0000000000000"', "precision_exceeded"),
        ("p", '"1000000000000"', "too_large"),
        ("p", '"100000000000"', None),
        ("q", '"0.000000001"', "precision_exceeded"),
        ("q", '"-0.5"', "non_positive"),
        ("q", '"10000000000000000"', "too_large"),
        ("q", '"99999999.99999999"', "amount_overflow"),
        ("t", '"7"', "not_an_integer"),
        ("t", "7.0", "not_an_integer"),
        ("t", "true", "not_an_integer"),
        ("t", "-7", "not_an_integer"),
        ("t", str(2**63), "not_an_integer"),
        ("t", str(2**63 - 1), None),
        ("t", "1" * 5000, "not_an_integer"),
        ("T", '"1"', "not_an_integer"),
        ("T", "1723161600", "time_out_of_range"),
        ("T", str(1_230_767_999_999), "time_out_of_range"),
        ("T", str(RECEIVED_US + 3_600_000_000), None),
        ("T", str(RECEIVED_US + 3_600_000_001), "time_out_of_range"),
        ("T", str(START_US * 1000), "bad_time_unit"),
        ("m", '"true"', "not_a_flag"),
        ("m", "1", "not_a_flag"),
        ("m", "", "not_a_flag"),
        ("s", '"XYZ"', "unknown_symbol"),
        ("s", '"USDT"', "unknown_symbol"),
        ("s", '"btcusdt"', "unknown_symbol"),
        ("s", "5", "not_a_text"),
        ("e", '"blockTrade"', "not_a_trade"),
        ("extra", "1e999999999999999999999", None),
        ("extra", "1" * 5000, None),
        ("extra", '{"a":1,"a":2}', "duplicate_key"),
    ],
)
def test_fields_of_a_binance_trade(field: str, text: str, reason: str | None) -> None:
    found = judged(with_fields(GOOD, **{field: text}))
    assert [bad.why for bad in found.bad] == ([reason] if reason else [])
    assert len(found.trades) == (reason is None)


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("price", '"80.17"', "not_a_number"),
        ("price", "NaN", "not_finite"),
        ("price", "-Infinity", "not_finite"),
        ("price", "1e999", "too_large"),
        ("price", "1e-30", "precision_exceeded"),
        ("price", "0", "non_positive"),
        ("price", "true", "not_a_number"),
        ("volume", "0.000000001", "precision_exceeded"),
        ("volume", "-1", "non_positive"),
        ("direction", '"up"', "unknown_side"),
        ("exchange", '"gemini"', "other_exchange"),
        ("exchange", "", "other_exchange"),
        ("base", '"no-such-coin"', "unknown_symbol"),
        ("base", '""', "unknown_symbol"),
        ("timestamp", '"yesterday"', "not_an_integer"),
        ("timestamp", "1.5", "not_an_integer"),
        ("timestamp", str(START_US), "bad_time_unit"),
        ("priceUsd", '"x"', None),
    ],
)
def test_fields_of_a_coincap_trade(field: str, text: str, reason: str | None) -> None:
    found = coincap(with_fields(COINCAP, **{field: text}))
    assert [bad.why for bad in found.bad] == ([reason] if reason else [])


def test_silvers_parser_agrees_on_damaged_frames() -> None:
    seed = 20241120
    print(f"seed {seed}")
    verdicts = {True: 0, False: 0}
    for number, frame in enumerate(damaged_frames(random.Random(seed), 20_000)):  # noqa: S311
        into = Judged()
        Judge().judge(0, frame, into)
        theirs = parse_frame(silver_rows.Frame(**frame._asdict()))
        ours = {row: key for row, key in _ours(into)}
        assert ours == dict(_theirs(theirs, frame, bool(into.arrays))), f"frame {number}: {frame}"
        verdicts[not into.bad] += 1
    assert min(verdicts.values()) > 1000, verdicts


def _ours(found: Judged) -> Iterator[tuple[int, Any]]:
    for _, row, symbol, key, number, order, side, price, quantity, time in found.trades:
        yield row, (symbol, key, number, order, side, Decimal(price), Decimal(quantity), time)
    for _, row, symbol, minute, *numbers, count in found.candles:
        yield row, (symbol, minute, *map(Decimal, numbers), count)
    for _, row, *gap in found.gaps:
        yield row, tuple(gap)
    for symbol, first, last in found.lost:
        yield 0, (symbol, first, last)
    for _, row, *name in found.symbols:
        yield row, tuple(name)
    for bad in found.bad:
        yield max(bad.row, 0), None


def _theirs(rows: list[silver_rows.ParsedRow], frame: Frame, many: bool) -> Iterator[tuple[int, Any]]:
    for row in rows:
        if isinstance(row, silver_rows.Trade):
            numbers = (row.side, row.price, row.quantity, row.event_time)
            yield row.row, (row.venue_symbol, row.trade_key, row.trade_id, row.venue_sequence, *numbers)
        elif isinstance(row, silver_rows.Candle):
            prices = (row.open, row.high, row.low, row.close)
            volumes = (row.volume, row.buy_volume, row.amount)
            yield row.row, (row.venue_symbol, row.minute, *prices, *volumes, row.trade_count)
        elif isinstance(row, silver_rows.Gap):
            yield row.row, (row.symbol, row.from_time, row.to_time, row.reason)
        elif isinstance(row, silver_rows.SymbolName):
            yield row.row, (row.venue_symbol, row.since, row.base, row.quote)
        elif isinstance(row, silver_rows.LostIds):
            yield row.row, (row.symbol.replace("-", ""), row.from_id, row.to_id)
        else:
            assert row.row >= 0 or not many, frame
            yield max(row.row, 0), None


def damaged_frames(draw: random.Random, count: int) -> Iterator[Frame]:
    marker = f'{{"kind":"disconnect","from_time_us":{START_US},"to_time_us":{START_US + 9},"reason":"cut"}}'
    candles = json.dumps([candle(START_US, "1.5", "2", "3", "4.5", 7)] * 2, separators=(",", ":"))
    names = [{"symbol": f"{base}XYZ", "baseAsset": base, "quoteAsset": "XYZ", "filters": []} for base in ("BTC", "ETH")]
    listing = json.dumps({"timezone": "UTC", "serverTime": 1, "symbols": names}, separators=(",", ":"))
    sources: list[tuple[str, dict[str, Any]]] = [
        (GOOD, {}),
        (f'{{"stream":"btcusdt@trade","data":{GOOD}}}', {}),
        (COINCAP, {"venue": "coincap-bitso"}),
        (f"[{REST},{REST}]", {"origin": "backfill"}),
        (candles, {"channel": "kline"}),
        (marker, {"channel": "gap", "venue": "coincap-bitso"}),
        (listing, {"channel": "symbols", "key": "exchangeInfo"}),
        (LOST, {"channel": "gap"}),
        (DUMP, {"channel": "trade_dump", "origin": "backfill"}),
        ("id,price,qty,quote_qty,time,is_buyer_maker,is_best_match\n" + DUMP, {"channel": "trade_dump", "sequence": 0}),
        (marker.replace('{"kind', '{"symbol":"BTCUSDT","kind'), {"channel": "gap", "venue": "bybit-spot"}),
        (bybit_frame(BYBIT, with_fields(BYBIT, i='"b"')), {"venue": "bybit-linear"}),
        (bybit_page(BYBIT_REST, with_fields(BYBIT_REST, execId='"b"')), {"venue": "bybit-spot", "origin": "backfill"}),
    ]
    for _ in range(count):
        text, headers = draw.choice(sources)
        body = text.encode()
        for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
            body = _damaged(draw, body)
        if draw.random() < 0.05:
            headers = headers | {draw.choice(list(HEADERS)): None}
        if draw.random() < 0.02:
            headers = headers | {"channel": draw.choice(("trade", "kline", "gap", "oversize", "depth"))}
        yield Frame(**{**HEADERS, **headers}, payload=body)


_TOKENS = (
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"-",
        b".",
        b"0",
        b"9",
        b"e5",
        b"E-3",
        b"null",
        b"true",
        b"NaN",
        b"\xff",
    ),
    *(b"\\u0000", b"\\ud800", b'"t":1,', b'"x":{"y":[1]},', b" ", b"\n", b"\x7f", "é".encode(), b"Infinity", b'"1"'),
    *(
        b"1e400",
        b"1" * 30,
        b'"p":"1",',
        b'"data":null,',
        b'"e":"trade",',
        b"0.000000001",
        b'"price":5,',
        b"\\n",
        b"\xc2\x85",
    ),
)


def _damaged(draw: random.Random, body: bytes) -> bytes:
    at, length = draw.randrange(len(body) + 1), draw.choice((0, 0, 1, 1, 2, 5))
    what = draw.random()
    if what < 0.6:
        return body[:at] + draw.choice(_TOKENS) + body[at + length :]
    if what < 0.9:
        # A value in place of another: the damage that leaves the JSON whole.
        spots = [i for i, letter in enumerate(body) if letter == ord(":")]
        if not spots:
            return body
        start = draw.choice(spots) + 1
        end = min((i for i in range(start, len(body)) if body[i] in b",}]"), default=len(body))
        values = (
            b"1",
            b'"1"',
            b'"1.5"',
            b"1.5",
            b"null",
            b"true",
            b"[]",
            b"{}",
            b'"buy"',
            b"-1",
            b"0",
            b'"0"',
            b"1723161600000",
        )
        return body[:start] + draw.choice((*values, *_TOKENS)) + body[end:]
    return body[:at] + body[at + draw.randrange(1, 9) :]
