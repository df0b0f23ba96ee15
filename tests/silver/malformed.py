"""Frames that must not become trades: (name, changes to a good frame, every reason)."""

from __future__ import annotations

import json
from dataclasses import replace

from silver.rows import Frame

RECEIVED_US = 1_723_161_255_000_000
MS = 1_723_161_254_123
GOOD = (
    b'{"e":"trade","E":1723161254124,"s":"BTCUSDT","t":7,"p":"61837.63000000","q":"0.02000000",'
    b'"T":1723161254123,"m":true,"M":true}'
)
COINCAP = (
    b'{"exchange":"bitso","base":"bitcoin","quote":"tether","direction":"buy","price":19365.59,"volume":0.07,'
    b'"timestamp":1723161254123,"priceUsd":19371.06}'
)
KLINE = [1723161120000, "1.5", "2", "1", "1.75", "10.5", 1723161179999, "17.25", 3, "4.5", "7.25", "0"]


def binance(payload: bytes = GOOD, **headers: object) -> Frame:
    frame = Frame("binance", "trade", "btcusdt@trade", "S1", 5, RECEIVED_US, "stream", payload)
    return replace(frame, **headers)


def coincap(payload: bytes = COINCAP, **headers: object) -> Frame:
    frame = Frame("coincap-bitso", "trade", "bitcoin-tether", "C1", 9, RECEIVED_US, "stream", payload)
    return replace(frame, **headers)


def rest(*rows: object, **headers: object) -> Frame:
    return binance(json.dumps(rows).encode(), key="BTCUSDT", origin="backfill", **headers)


def klines(*rows: object, **headers: object) -> Frame:
    return rest(*rows, channel="kline", **headers)


def rest_row(trade_id: int = 28457, **changes: object) -> dict[str, object]:
    row = {"id": trade_id, "price": "4.0", "qty": "12.0", "quoteQty": "48.0", "time": MS, "isBuyerMaker": True}
    return {**row, "isBestMatch": True, **changes}


def changed(old: str, new: str, frame: Frame | None = None) -> Frame:
    frame = frame or binance()
    assert frame.payload.count(old.encode()) == 1, old
    return replace(frame, payload=frame.payload.replace(old.encode(), new.encode()))


def _price(text: str) -> Frame:
    return changed('"61837.63000000"', text)


def _volume(text: str) -> Frame:
    return changed("0.07", text, coincap())


CASES: list[tuple[str, Frame, set[str]]] = [
    # the text
    ("empty", binance(b""), {"not_object"}),
    ("blanks", binance(b" \n"), {"not_object"}),
    ("null", binance(b"null"), {"not_object"}),
    ("a number", binance(b"42"), {"not_object"}),
    ("a string", binance(b'"trade"'), {"not_object"}),
    ("plain text", binance(b"Unauthorized"), {"invalid_json"}),
    ("cut in a key", binance(GOOD[:20]), {"truncated"}),
    ("cut in a string", binance(GOOD[:60]), {"truncated"}),
    ("cut in a word", binance(GOOD[:-3]), {"truncated"}),
    ("cut before the end", binance(GOOD[:-1]), {"truncated"}),
    ("single quotes", binance(GOOD.replace(b'"', b"'")), {"invalid_json"}),
    ("comma too many", changed("true}", "true,}"), {"invalid_json"}),
    ("two documents", binance(GOOD + GOOD), {"trailing_data"}),
    ("text behind", binance(GOOD + b" x"), {"trailing_data"}),
    ("a NUL behind", binance(GOOD + b"\0"), {"trailing_data"}),
    ("BOM", binance(b"\xef\xbb\xbf" + GOOD), {"bom"}),
    ("UTF-16 with BOM", binance(GOOD.decode().encode("utf-16")), {"bom"}),
    ("UTF-16 without", binance(GOOD.decode().encode("utf-16-le")), {"invalid_json"}),
    ("bad UTF-8", binance(GOOD.replace(b"BTC", b"BT\xff")), {"bad_utf8"}),
    ("half a surrogate", changed("BTCUSDT", "BTC\\ud800USDT"), {"bad_utf8", "unknown_symbol"}),
    ("raw control character", binance(GOOD.replace(b"BTC", b"BT\x01")), {"control_char"}),
    ("escaped NUL", changed("BTCUSDT", "BTC\\u0000USDT"), {"control_char", "unknown_symbol"}),
    ("DEL in an extra field", changed('"M":true', '"x":"\\u007f"'), {"control_char"}),
    ("key twice", changed('"p":', '"p":"1","p":'), {"duplicate_key"}),
    ("key twice, escaped", changed('"p":', '"\\u0070":"1","p":'), {"duplicate_key"}),
    ("key twice in an extra field", changed('"M":true', '"x":{"a":1,"a":2}'), {"duplicate_key"}),
    ("40 deep", changed('"M":true', '"x":' + "[" * 40 + "]" * 40), {"too_deep"}),
    ("100,000 deep", binance(b"[" * 100_000), {"too_deep"}),
    ("600 KiB", changed('"M":true', '"x":"' + "a" * 600_000 + '"'), {"oversize"}),
    ("NaN in an extra field", changed('"M":true', '"x":NaN'), {"not_finite"}),
    # fields of Binance
    ("no id", changed('"t":7,', ""), {"missing_field:t"}),
    (
        "no price and no time",
        binance(b'{"s":"BTCUSDT","t":7,"q":"1","m":true}'),
        {"missing_field:p", "missing_field:T"},
    ),
    ("an acknowledgement", binance(b'{"result":null,"id":1}'), {f"missing_field:{k}" for k in "stpqTm"}),
    ("price null", _price("null"), {"null_field:p"}),
    ("price a number", _price("61837.63"), {"wrong_type:p"}),
    ("price empty", _price('""'), {"wrong_type:p"}),
    ("price with blank", _price('" 1.5"'), {"wrong_type:p"}),
    ("price with sign", _price('"+1.5"'), {"wrong_type:p"}),
    ("price with underscore", _price('"1_000"'), {"wrong_type:p"}),
    ("price in Arabic digits", _price('"\u0661"'), {"wrong_type:p"}),
    ("price with leading zero", _price('"01.5"'), {"wrong_type:p"}),
    ("price with exponent", _price('"1e5"'), {"wrong_type:p"}),
    ("price with comma", _price('"1,5"'), {"wrong_type:p"}),
    ("price NaN text", _price('"NaN"'), {"not_finite"}),
    ("price -Infinity", _price("-Infinity"), {"not_finite"}),
    ("price zero", _price('"0.00000000"'), {"non_positive:p"}),
    ("price negative", _price('"-1.5"'), {"non_positive:p"}),
    ("price of 13 decimals", _price('"1.0000000000001"'), {"precision_exceeded"}),
    ("price of 13 decimals, zeros", _price('"1.0000000000000"'), {"precision_exceeded"}),
    ("price of 13 digits", _price('"1000000000000"'), {"precision_exceeded"}),
    ("price of 1,001 digits", _price('"' + "1" * 1001 + '"'), {"precision_exceeded"}),
    ("quantity of 9 decimals", changed("0.02000000", "0.020000001"), {"precision_exceeded"}),
    ("amount above 1e12", changed("0.02000000", "16200000"), {"amount_overflow"}),
    ("id a string", changed('"t":7', '"t":"7"'), {"wrong_type:t"}),
    ("id a float", changed('"t":7', '"t":7.0'), {"wrong_type:t"}),
    ("id a boolean", changed('"t":7', '"t":true'), {"wrong_type:t"}),
    ("id above 64 bits", changed('"t":7', '"t":9223372036854775808'), {"id_overflow"}),
    ("id of 5,000 digits", changed('"t":7', '"t":' + "9" * 5000), {"id_overflow"}),
    ("id negative", changed('"t":7', '"t":-7'), {"negative:t"}),
    ("side a string", changed('"m":true', '"m":"true"'), {"wrong_type:m"}),
    ("side a number", changed('"m":true', '"m":1'), {"wrong_type:m"}),
    ("time in seconds", changed(f'"T":{MS}', '"T":1723161254'), {"bad_time_unit"}),
    ("time in ns", changed(f'"T":{MS}', '"T":1723161254123000000'), {"bad_time_unit"}),
    ("time a string", changed(f'"T":{MS}', f'"T":"{MS}"'), {"wrong_type:T"}),
    ("time negative", changed(f'"T":{MS}', f'"T":-{MS}'), {"bad_time_unit"}),
    ("time of 2008", changed(f'"T":{MS}', '"T":1230767999999'), {"time_out_of_range"}),
    ("time 1 h 1 s ahead", changed(f'"T":{MS}', '"T":1723164856000'), {"time_out_of_range"}),
    ("symbol unknown", changed("BTCUSDT", "BTCXYZ"), {"unknown_symbol"}),
    ("symbol in small letters", changed("BTCUSDT", "btcusdt"), {"unknown_symbol"}),
    ("symbol only a quote", changed("BTCUSDT", "USDT"), {"unknown_symbol"}),
    ("symbol a script", changed("BTCUSDT", "<SCRIPT>USDT"), {"unknown_symbol"}),
    ("symbol a list", changed('"BTCUSDT"', '["BTCUSDT"]'), {"wrong_type:s"}),
    ("block trade", changed('"e":"trade"', '"e":"blockTrade"'), {"unknown_value:e"}),
    ("wrapper without data", binance(b'{"stream":"btcusdt@trade","data":null}'), {"null_field:data"}),
    ("wrapper without stream", binance(b'{"data":' + GOOD + b"}"), {"missing_field:stream"}),
    ("wrapped in part", binance(GOOD + b"}"), {"trailing_data"}),
    (
        "many at once",
        binance(b'{"s":1,"p":"-1","q":0,"T":1,"m":null}'),
        {"wrong_type:s", "missing_field:t", "non_positive:p", "wrong_type:q", "bad_time_unit", "null_field:m"},
    ),
    # fields of CoinCap
    ("CoinCap price a string", changed("19365.59", '"19365.59"', coincap()), {"wrong_type:price"}),
    ("CoinCap volume NaN", _volume("NaN"), {"not_finite"}),
    ("CoinCap volume 1e400", _volume("1e400"), {"not_finite"}),
    ("CoinCap volume 1e99999999999", _volume("1e99999999999"), {"not_finite"}),
    ("CoinCap volume 1e-30", _volume("1e-30"), {"precision_exceeded"}),
    ("CoinCap volume of 9 decimals", _volume("0.070000001"), {"precision_exceeded"}),
    ("CoinCap volume -1", _volume("-1"), {"non_positive:volume"}),
    ("CoinCap volume false", _volume("false"), {"wrong_type:volume"}),
    ("CoinCap slug unknown", changed('"bitcoin"', '"no-such-coin"', coincap()), {"unknown_symbol"}),
    ("CoinCap direction new", changed('"buy"', '"auction"', coincap()), {"unknown_value:direction"}),
    ("CoinCap other exchange", changed('"bitso"', '"gemini"', coincap()), {"unknown_value:exchange"}),
    ("CoinCap time in us", changed(str(MS), f"{MS}000", coincap()), {"bad_time_unit"}),
    ("CoinCap array", coincap(b"[" + COINCAP + b"]"), {"not_object"}),
    # headers and channels
    ("no venue", binance(venue=None), {"missing_header:venue"}),
    ("no channel", binance(channel=None), {"missing_header:channel"}),
    (
        "no session and no sequence",
        coincap(session_id=None, sequence=None),
        {"missing_header:session_id", "missing_header:sequence"},
    ),
    ("no receive time", binance(received_us=None), {"missing_header:received_at_us"}),
    ("no origin, bad price", replace(_price('"-1"'), origin=None), {"missing_header:origin", "non_positive:p"}),
    ("unknown venue", binance(venue="kraken"), {"unknown_venue"}),
    ("unknown channel", binance(channel="depth"), {"unknown_channel"}),
    ("our own oversize marker", binance(b'{"length":600000}', channel="oversize"), {"oversize"}),
    # REST bodies and markers
    ("REST error body", binance(b'{"code":-1121,"msg":"Invalid symbol."}'), {f"missing_field:{k}" for k in "stpqTm"}),
    ("REST body without key", replace(rest(rest_row()), key=None), {"missing_header:key"}),
    ("REST row null", rest(None), {"not_object"}),
    ("klines body an object", replace(klines(), payload=b'{"code":-1003}'), {"not_array"}),
    ("candle open still", klines([1723161240000, *KLINE[1:6], 1723161299999, *KLINE[7:]]), {"open_candle"}),
    ("candle of five minutes", klines([*KLINE[:6], 1723161419999, *KLINE[7:]]), {"not_one_minute"}),
    ("candle short", klines(KLINE[:9]), {"missing_field:taker_base"}),
    ("candle long", klines([*KLINE, 1]), {"extra_field"}),
    ("candle volume -1", klines([*KLINE[:5], "-1", *KLINE[6:]]), {"non_positive:volume"}),
    (
        "gap backwards",
        coincap(b'{"kind":"disconnect","from_time_us":9,"to_time_us":8,"reason":"x"}', channel="gap"),
        {"unknown_value:to_time_us"},
    ),
]
