"""Tickers and prices through refine, on real Delta tables: exact, once, and their contradictions kept."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bronze_frames import Bronze, counts, time_of
from polled_frames import (
    CLOSE_MS,
    COINCAP_PRICES,
    MARKET,
    RECEIVED_US,
    SECONDS,
    SIMPLE,
    coincap_prices,
    coingecko,
    ticker,
    tickers,
)

from silver.tables import PRICES, TICKERS

SHIB = Decimal("0.0000110767172691626630000000")


def test_tickers_and_prices_are_in_silver_once_and_a_contradiction_is_kept(bronze: Bronze) -> None:
    later = {"received_us": RECEIVED_US + 60_000_000}
    first = bronze.carry(
        [
            tickers(ticker(), ticker(symbol="ETHUSDT"), ticker(symbol="SOLUSDT", lastPrice="0")),  # 0
            tickers(ticker(bidPrice="53479.25"), ticker(symbol="ETHUSDT", lastPrice="1")),  # 1: the book may move
            coingecko(),  # 2
            coingecko(**later),  # 3: not renewed yet
            coingecko(SIMPLE.replace("76975", "76976"), **later),  # 4
            coingecko(f"[{MARKET},{MARKET}]", key="coins/markets"),  # 5
            coincap_prices(),  # 6
            coincap_prices(**later),  # 7: the same prices of another moment
        ]
    )
    assert first.counts == counts(frames=8, tickers=2, prices=7, copies=5, quarantined=3)
    assert bronze.quarantined() == {
        (0, 2): {"non_positive:lastPrice"},
        (1, 1): {"conflicting_duplicate"},
        (4, 0): {"conflicting_duplicate"},
    }
    (stored,) = bronze.found(TICKERS, symbol="BTC-USDT")
    assert stored["close_time"] == time_of(CLOSE_MS * 1000)
    assert (stored["price_change"], stored["quote_volume"]) == (Decimal("-1061.83"), Decimal("11806280.922212"))
    assert (stored["bid_price"], stored["trade_count"], stored["sequence"]) == (Decimal("53479.24"), 14509, 3)
    prices = bronze.rows(PRICES, "venue", "symbol", "price", "offset", "row")
    assert prices == [
        ("coincap", "BTC-USD", Decimal("6929.82"), 6, 0),
        ("coincap", "BTC-USD", Decimal("6929.82"), 7, 0),
        ("coincap", "SHIB-USD", Decimal("0.0000074912345678"), 6, 1),
        ("coincap", "SHIB-USD", Decimal("0.0000074912345678"), 7, 1),
        ("coingecko", "BTC-USD", Decimal("53462.76721412727"), 5, 0),
        ("coingecko", "BTC-USD", Decimal(76975), 2, 0),
        ("coingecko", "SHIB-USD", SHIB, 2, 1),
    ]
    before = bronze.versions()
    again = bronze.carry([tickers(), coingecko(**later), coincap_prices(), replace(tickers(), origin="replay")])
    assert again.counts == counts(frames=4, copies=6)
    assert bronze.versions() == before
    renewed = SIMPLE.replace(str(SECONDS), str(SECONDS + 60))
    moved = ticker(closeTime=CLOSE_MS + 15_000, lastPrice="53487.81")
    # Only what has the very same time can be a copy, so a new time is new, beside an old one that is none.
    third = bronze.carry([coingecko(renewed, **later), tickers(moved, ticker()), coincap_prices(COINCAP_PRICES)])
    assert third.counts == counts(frames=3, tickers=1, prices=1, copies=4)
