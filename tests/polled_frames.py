"""Answers of polled sources and prices as they come, and what must become of them."""

from __future__ import annotations

import json
from dataclasses import replace

from silver.rows import Frame

RECEIVED_US = 1_723_161_255_000_000
CLOSE_MS, OPEN_MS = 1_723_161_254_123, 1_723_074_854_123
SECONDS = 1_723_161_240
TICKER: dict[str, object] = {
    "symbol": "BTCUSDT",
    "priceChange": "-1061.83000000",
    "priceChangePercent": "-1.947",
    "weightedAvgPrice": "54089.59775959",
    "prevClosePrice": "54534.79000000",
    "lastPrice": "53487.80000000",
    "lastQty": "0.00598000",
    "bidPrice": "53479.24000000",
    "bidQty": "0.00630000",
    "askPrice": "53487.80000000",
    "askQty": "0.00598000",
    "openPrice": "54549.63000000",
    "highPrice": "55086.05000000",
    "lowPrice": "53094.45000000",
    "volume": "218.27267000",
    "quoteVolume": "11806280.92221200",
    "openTime": OPEN_MS,
    "closeTime": CLOSE_MS,
    "firstId": 3015280796,
    "lastId": 3015295304,
    "count": 14509,
}
SIMPLE = (
    '{"bitcoin":{"usd":76975,"usd_market_cap":1.5e12,"usd_24h_vol":29096603418.89,"usd_24h_change":-1.409,'
    f'"last_updated_at":{SECONDS}}},'
    '"shiba-inu":{"usd":1.1076717269162663e-05,"usd_24h_vol":72046967.7242154,"usd_24h_change":null,'
    f'"last_updated_at":{SECONDS - 7}}}}}'
)
MARKET = (
    '{"id":"bitcoin","symbol":"btc","name":"Bitcoin","current_price":53462.76721412727,"market_cap":175424704921,'
    '"total_volume":354062541.69291306,"price_change_percentage_24h":null,"roi":{"times":41.2},"max_supply":null,'
    '"last_updated":"2024-08-08T23:54:07.919Z"}'
)
COINCAP_PRICES = '{"bitcoin":"6929.82","shiba-inu":"0.0000074912345678"}'


def tickers(*rows: object, **headers: object) -> Frame:
    payload = json.dumps(rows or [TICKER]).encode()
    return replace(Frame("binance", "ticker", "ticker/24hr", "P1", 3, RECEIVED_US, "stream", payload), **headers)


def ticker(**changes: object) -> dict[str, object]:
    """A ticker with other values; None takes a field away."""
    return {key: value for key, value in {**TICKER, **changes}.items() if value is not None}


def coingecko(payload: str = SIMPLE, **headers: object) -> Frame:
    frame = Frame("coingecko", "price", "simple/price", "P2", 4, RECEIVED_US, "stream", payload.encode())
    return replace(frame, **headers)


def coincap_prices(payload: str = COINCAP_PRICES, **headers: object) -> Frame:
    return replace(Frame("coincap", "price", "prices", "C9", 5, RECEIVED_US, "stream", payload.encode()), **headers)


def simple(fields: str, coin: str = "bitcoin") -> Frame:
    return coingecko(f'{{"{coin}":{{{fields}}}}}')


def market(old: str, new: str) -> Frame:
    assert MARKET.count(old) == 1, old
    return coingecko(f"[{MARKET.replace(old, new)}]")


_AT = f'"last_updated_at":{SECONDS}'
# Frames of one row that must go to quarantine: name, frame, row, every reason.
BAD: list[tuple[str, Frame, int, set[str]]] = [
    ("tickers an object", tickers(payload=b'{"code":-1003,"msg":"Too many"}'), -1, {"not_array"}),
    ("tickers a page", tickers(payload=b"<html>403</html>"), -1, {"invalid_json"}),
    ("a ticker a number", tickers(7), 0, {"not_object"}),
    ("a ticker without price", tickers(ticker(lastPrice=None)), 0, {"missing_field:lastPrice"}),
    ("a ticker with a number for a price", tickers(ticker(lastPrice=1.5)), 0, {"wrong_type:lastPrice"}),
    ("a ticker with price 0", tickers(ticker(lastPrice="0.00000000")), 0, {"non_positive:lastPrice"}),
    ("a ticker with a negative volume", tickers(ticker(volume="-1")), 0, {"non_positive:volume"}),
    ("a ticker with NaN", tickers(ticker(priceChangePercent="NaN")), 0, {"not_finite"}),
    ("a ticker of seconds", tickers(ticker(closeTime=SECONDS)), 0, {"bad_time_unit"}),
    ("a ticker of tomorrow", tickers(ticker(closeTime=CLOSE_MS + 86_400_000)), 0, {"time_out_of_range"}),
    ("a ticker with id -2", tickers(ticker(firstId=-2)), 0, {"negative:firstId"}),
    ("a ticker with id '-1'", tickers(ticker(lastId="-1")), 0, {"wrong_type:lastId"}),
    ("a ticker of an unknown pair", tickers(ticker(symbol="<b>USDT")), 0, {"unknown_symbol"}),
    (
        "a ticker with 9 decimals of percent",
        tickers(ticker(priceChangePercent="0.123456789")),
        0,
        {"precision_exceeded"},
    ),
    ("CoinGecko plain text", coingecko("Unauthorized"), -1, {"invalid_json"}),
    ("CoinGecko a number", coingecko("7"), -1, {"not_object"}),
    ("CoinGecko an id twice", coingecko('{"bitcoin":{},"bitcoin":{}}'), -1, {"duplicate_key"}),
    ("CoinGecko unknown id", simple(f'"usd":1,{_AT}', "no-such-coin"), 0, {"unknown_symbol"}),
    ("CoinGecko id with NUL", simple(f'"usd":1,{_AT}', "bit\\u0000coin"), 0, {"unknown_symbol", "control_char"}),
    ("CoinGecko price text", simple(f'"usd":"1",{_AT}'), 0, {"wrong_type:usd"}),
    ("CoinGecko price null", simple(f'"usd":null,{_AT}'), 0, {"null_field:usd"}),
    ("CoinGecko price 0.0", simple(f'"usd":0.0,{_AT}'), 0, {"non_positive:usd"}),
    ("CoinGecko price 1e400", simple(f'"usd":1e400,{_AT}'), 0, {"not_finite"}),
    ("CoinGecko price 1e-29", simple(f'"usd":1e-29,{_AT}'), 0, {"precision_exceeded"}),
    ("CoinGecko volume negative", simple(f'"usd":1,"usd_24h_vol":-1,{_AT}'), 0, {"non_positive:usd_24h_vol"}),
    ("CoinGecko change text", simple(f'"usd":1,"usd_24h_change":"-1",{_AT}'), 0, {"wrong_type:usd_24h_change"}),
    ("CoinGecko no time", simple('"usd":1'), 0, {"missing_field:last_updated_at"}),
    ("CoinGecko time in ms", simple(f'"usd":1,"last_updated_at":{SECONDS}000'), 0, {"bad_time_unit"}),
    ("CoinGecko time a fraction", simple(f'"usd":1,"last_updated_at":{SECONDS}.5'), 0, {"wrong_type:last_updated_at"}),
    ("CoinGecko time of 1970", simple('"usd":1,"last_updated_at":0'), 0, {"time_out_of_range"}),
    ("CoinGecko list of numbers", coingecko("[7]"), 0, {"not_object"}),
    ("CoinGecko ISO time with zone", market("07.919Z", "07.919+00:00"), 0, {"bad_time_text"}),
    ("CoinGecko ISO time of month 13", market("2024-08", "2024-13"), 0, {"bad_time_text"}),
    ("CoinGecko ISO time a number", market('"2024-08-08T23:54:07.919Z"', "1723161247"), 0, {"wrong_type:last_updated"}),
    ("CoinGecko NaN in a field left out", market('"max_supply":null', '"max_supply":NaN'), 0, {"not_finite"}),
    ("CoinCap text", coincap_prices("Unauthorized"), -1, {"invalid_json"}),
    ("CoinCap a list", coincap_prices('["bitcoin"]'), -1, {"not_object"}),
    ("CoinCap a slug twice", coincap_prices('{"bitcoin":"1","bitcoin":"2"}'), -1, {"duplicate_key"}),
    ("CoinCap price a number", coincap_prices('{"bitcoin":1.5}'), 0, {"wrong_type:price"}),
    ("CoinCap price 1e5", coincap_prices('{"bitcoin":"1e5"}'), 0, {"wrong_type:price"}),
    ("CoinCap price 0", coincap_prices('{"bitcoin":"0"}'), 0, {"non_positive:price"}),
    ("CoinCap unknown slug", coincap_prices('{"<script>":"1"}'), 0, {"unknown_symbol"}),
    ("CoinCap trades of no exchange", coincap_prices(channel="trade"), -1, {"unknown_channel"}),
    ("no receive time", coincap_prices(received_us=None), -1, {"missing_header:received_at_us"}),
]
