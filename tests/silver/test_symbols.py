"""What the venues' names stand for: as the venue lists them, else as conf/symbols.yml splits them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from made_frames import RECEIVED_US, binance, rest, rest_row

from silver.parse import parse_frame
from silver.rows import Frame, Rejected, SymbolName, Trade
from silver.symbols import Pair, Symbols, load_symbols, symbol_tables, symbols_of

LISTED = {("binance", "BTCXYZ"): Pair("BTC", "XYZ"), ("binance", "ADAEUR"): Pair("AD", "AEUR")}


def known() -> Symbols:
    return replace(load_symbols(), listed=LISTED)


def exchange_info(*items: Any, **beside: Any) -> Frame:
    body = json.dumps({"timezone": "UTC", "serverTime": 1, **beside, "symbols": items}).encode()
    return binance(body, channel="symbols", key="exchangeInfo")


def test_a_listed_name_is_what_the_venue_says_and_another_is_split() -> None:
    symbols = known()
    assert symbols.of_binance("BTCXYZ") == Pair("BTC", "XYZ")
    assert symbols.of_binance("ADAEUR") == Pair("AD", "AEUR")
    assert symbols.of_binance("ETHBTC") == Pair("ETH", "BTC")
    assert symbols.of_binance("ETHXYZ") is None
    assert symbols.contradicted == ("ADAEUR",)
    assert load_symbols().contradicted == ()


def test_the_strict_parser_is_a_function_of_the_frame_and_the_names_in_force() -> None:
    frame = replace(rest(rest_row(1)), key="BTCXYZ")
    assert parse_frame(frame) == [Rejected(0, ("unknown_symbol",))]
    (row,) = parse_frame(replace(frame, symbols=known()))
    assert isinstance(row, Trade)
    assert (row.symbol, row.base, row.quote, row.venue_symbol) == ("BTC-XYZ", "BTC", "XYZ", "BTCXYZ")


def test_exchange_info_is_read_name_by_name() -> None:
    good = {"symbol": "BTCXYZ", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "XYZ", "filters": []}
    chinese = {"symbol": "币安人生USDT", "baseAsset": "币安人生", "quoteAsset": "USDT"}
    frame = exchange_info(good, {**good, "quoteAsset": None}, {**good, "symbol": "<b>"}, 7, chinese)
    assert parse_frame(frame) == [
        SymbolName(0, "BTCXYZ", RECEIVED_US, "BTC", "XYZ", "BTC-XYZ", "exchangeInfo"),
        Rejected(1, ("null_field:quoteAsset",)),
        Rejected(2, ("unknown_value:symbol",)),
        Rejected(3, ("not_object",)),
        SymbolName(4, "币安人生USDT", RECEIVED_US, "币安人生", "USDT", "币安人生-USDT", "exchangeInfo"),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "not_object"),
        (b"{}", "missing_field:symbols"),
        (b'{"symbols":[],"symbols":[]}', "duplicate_key"),
        (b'{"symbols":{}}', "wrong_type:symbols"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', "missing_field:symbols"),
        (b"<html>", "invalid_json"),
    ],
)
def test_another_body_is_quarantined_as_a_whole(body: bytes, reason: str) -> None:
    assert parse_frame(binance(body, channel="symbols", key="exchangeInfo")) == [Rejected(-1, (reason,))]


def test_no_two_names_of_a_source_stand_for_one_ticker() -> None:
    symbols = load_symbols()
    for tickers in (symbols.coincap_assets, symbols.coingecko_ids):
        assert len(set(tickers.values())) == len(tickers)
    assert symbols.of_coincap_asset("binance-coin") == Pair("BNB", "USD")
    assert symbols.of_coincap_asset("bnb") is symbols.of_coincap("bnb", "tether") is None
    assert symbols.refusal("coincap", "bnb", "tether") == "ambiguous_symbol"
    assert symbols.refusal("coincap", "binance-coin", "no-such-coin") == "unknown_symbol"


@pytest.mark.parametrize("market", ["binance", "bybit-spot", "bybit-linear"])
def test_no_two_names_of_a_market_stand_for_one_pair(market: str) -> None:
    symbols = load_symbols()
    endings = (*symbols.binance_quotes, *symbols.bybit_quotes, *symbols.bybit_suffixes)
    names = {f"{base}{ending}" for base in ("BTC", "USD", "BTCUSD", "PERP", "1") for ending in endings}
    given = {
        name: symbols.of_binance(name) if market == "binance" else symbols.of_bybit(market, name) for name in names
    }
    pairs = [pair for pair in given.values() if pair]
    assert len(set(pairs)) == len(pairs) >= 85


def test_a_ticker_is_of_the_first_name_that_the_tables_give_it() -> None:
    tables = symbol_tables()
    ids = {"pepe": "PEPE", "pepe-2": "PEPE", "pepe-3": "PEPE3"}
    symbols = symbols_of({**tables, "coingecko": {"ids": ids}})
    coin = {"usd": 1, "last_updated_at": RECEIVED_US // 10**6}
    body = json.dumps({"pepe-2": coin, "pepe": coin, "pepe-3": coin, "pepe-4": coin}).encode()
    rows = parse_frame(Frame("coingecko", "price", "k", "P", 1, RECEIVED_US, "stream", body, symbols))
    found = [row.reasons if isinstance(row, Rejected) else getattr(row, "symbol", "") for row in rows]
    assert found == [("ambiguous_symbol",), "PEPE-USD", "PEPE3-USD", ("unknown_symbol",)]
