"""Refine and the table of names: a name counts from the batch after the one that brings it, whatever crashes."""

from __future__ import annotations

import json

import pytest
from bronze_frames import Bronze, create_tables
from malformed import GOOD, RECEIVED_US, binance
from pyspark.sql import SparkSession

import silver.refine
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from silver.refine import Refine
from silver.rows import Frame
from silver.symbol_table import listed_symbols, seed
from silver.symbols import Pair
from silver.tables import SYMBOLS


def trade(trade_id: int, symbol: str) -> Frame:
    return binance(GOOD.replace(b'"t":7', f'"t":{trade_id}'.encode()).replace(b"BTCUSDT", symbol.encode()))


def listing(symbol: str, base: str, quote: str, after_us: int = 0) -> Frame:
    body = {"symbols": [{"symbol": symbol, "baseAsset": base, "quoteAsset": quote}]}
    payload, received_us = json.dumps(body).encode(), RECEIVED_US + after_us
    return binance(payload, channel="symbols", key="exchangeInfo", received_us=received_us)


class Cut(Exception):
    """The crash."""


def test_names_come_from_the_venue_first_and_count_from_the_next_batch_on(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(spark, settings)
    create_tables(lake)
    bronze = Bronze(lake)
    venues = settings.venues
    assert seed(lake) == sum(map(len, (venues.binance.symbols, venues.bybit.spot_symbols, venues.bybit.linear_symbols)))
    assert seed(lake) == 0
    conf = lake.read(SYMBOLS).where("venue_symbol = 'ETHBTC'").select("venue", "symbol", "source").collect()
    assert [tuple(row) for row in conf] == [("binance", "ETH-BTC", "conf")]

    aeur = listing("ADAEUR", "AD", "AEUR")
    bronze.carry([listing("BTCXYZ", "BTC", "XYZ"), trade(1, "BTCXYZ"), trade(2, "ADAEUR"), aeur]).release()
    assert bronze.trades("symbol", "trade_id") == [("ADA-EUR", 2)]
    assert bronze.quarantined() == {(1, -1): {"unknown_symbol"}}
    # What has been named by its text keeps that name, so that a further copy is known as one.
    late = listing("SOLEUR", "SO", "LEUR")
    bronze.carry([trade(3, "BTCXYZ"), trade(2, "ADAEUR"), trade(4, "ADAEUR"), trade(5, "ETHBTC"), late]).release()
    assert bronze.trades("symbol", "trade_id") == [("ADA-EUR", 2), ("ADA-EUR", 4), ("BTC-XYZ", 3), ("ETH-BTC", 5)]

    # The venue's first word counts, and conf does not count against it.
    bronze.carry([listing("BTCXYZ", "BTCX", "YZ", 2), trade(8, "SOLEUR")]).release()
    assert ("SO-LEUR", 8) in bronze.trades("symbol", "trade_id")
    symbols = listed_symbols(lake)
    assert symbols.of_binance("BTCXYZ") == Pair("BTC", "XYZ")
    assert symbols.of_binance("ADAEUR") == Pair("ADA", "EUR")
    assert symbols.of_binance("SOLEUR") == Pair("SO", "LEUR")
    assert lake.read(SYMBOLS).where("source = 'exchangeInfo'").count() == 4

    # Done again after a crash, a batch is judged by the names that it was judged by at first.
    def cut(reached: str) -> None:
        if reached == "after_quarantine_commit":
            raise Cut

    monkeypatch.setattr(silver.refine, "fault_point", cut)
    with pytest.raises(Cut):
        bronze.carry([listing("ETHXYZ", "ETH", "XYZ"), trade(6, "ETHXYZ"), trade(7, "ETHBTC")])
    monkeypatch.setattr(silver.refine, "fault_point", lambda _: None)
    again = Refine(lake)
    assert again.drain() == 1
    assert bronze.quarantined() == {(1, -1): {"unknown_symbol"}, (12, -1): {"unknown_symbol"}}
    assert [row for row in bronze.trades("trade_id") if row[0] in (6, 7)] == [(7,)]
    assert listed_symbols(lake).of_binance("ETHXYZ") is not None
