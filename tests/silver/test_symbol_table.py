"""Refine and the table of names: a name counts from the batch after the one that brings it, whatever crashes."""

from __future__ import annotations

import pytest
from bronze_frames import Bronze
from crash_points import Cut, cut_at
from made_frames import GOOD, binance, listing

import silver.refine
from silver.refine import Refine
from silver.rows import Frame
from silver.symbol_table import listed_symbols, seed
from silver.symbols import Pair
from silver.tables import SYMBOLS


def trade(trade_id: int, symbol: str) -> Frame:
    return binance(GOOD.replace(b'"t":7', f'"t":{trade_id}'.encode()).replace(b"BTCUSDT", symbol.encode()))


def test_names_come_from_the_venue_first_and_count_from_the_next_batch_on(
    bronze: Bronze, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = bronze.lake
    venues = lake.settings.venues
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

    # The venue's first word counts, and conf does not count against it; done again after a crash, a batch is judged by
    # the names that it was judged by at first.
    monkeypatch.setattr(silver.refine, "fault_point", cut_at("after_quarantine_commit"))
    second = [listing("BTCXYZ", "BTCX", "YZ", 2), trade(8, "SOLEUR"), listing("ETHXYZ", "ETH", "XYZ")]
    with pytest.raises(Cut):
        bronze.carry([*second, trade(6, "ETHXYZ"), trade(7, "ETHBTC")])
    monkeypatch.setattr(silver.refine, "fault_point", lambda _: None)
    assert Refine(lake).drain() == 1
    assert bronze.quarantined() == {(1, -1): {"unknown_symbol"}, (12, -1): {"unknown_symbol"}}
    later = [row for row in bronze.trades("symbol", "trade_id") if row[1] > 5]
    assert later == [("ETH-BTC", 7), ("SO-LEUR", 8)]
    symbols = listed_symbols(lake)
    listed = {name: symbols.of_binance(name) for name in ("BTCXYZ", "ADAEUR", "SOLEUR", "ETHXYZ")}
    assert listed == {
        "BTCXYZ": Pair("BTC", "XYZ"),
        "ADAEUR": Pair("ADA", "EUR"),
        "SOLEUR": Pair("SO", "LEUR"),
        "ETHXYZ": Pair("ETH", "XYZ"),
    }
    assert lake.read(SYMBOLS).where("source = 'exchangeInfo'").count() == 5
