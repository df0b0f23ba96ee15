"""Tickers and prices in the audit: its own reading of them, and one planted defect a test."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from lake_by_hand import START_US, HandLake
from polled_frames import BAD, COINCAP_PRICES, MARKET, SECONDS, SIMPLE, coincap_prices, coingecko, ticker, tickers

from cryptolake.audit.judge import Frame as AuditFrame
from cryptolake.audit.judge import Judge, Judged
from cryptolake.audit.run import audit
from lakehouse.settings import load_settings
from serving.sql import query
from silver.parse import parse_frame
from silver.rows import Frame, Rejected
from silver.tables import PRICES, QUARANTINE, TICKERS


def judged(frame: Frame) -> Judged:
    found = Judged()
    Judge().judge(0, AuditFrame(*(getattr(frame, name) for name in AuditFrame._fields)), found)
    return found


@pytest.mark.parametrize("frame", [case[1] for case in BAD], ids=[case[0] for case in BAD])
def test_what_silver_refuses_the_audit_refuses_at_the_same_place(frame: Frame) -> None:
    found, (rejected,) = judged(frame), parse_frame(frame)
    assert [*found.tickers, *found.prices] == []
    (bad,) = found.bad
    # A frame of one row that cannot be read may be called its row 0 by one of the two.
    whole_is_row_0 = not found.arrays
    assert max(bad.row, 0) == max(rejected.row, 0) if whole_is_row_0 else bad.row == rejected.row


@pytest.mark.parametrize(
    "frame",
    [
        tickers(ticker(), {**ticker(), "count": "7"}, ticker(firstId=-1, lastId=-1, volume="0", bidPrice="0")),
        tickers(ticker(priceChange="-0.00000000", priceChangePercent="0")),
        coingecko(),
        coingecko("{}"),
        coingecko(f'{{"bitcoin":{{"usd":1e-28,"last_updated_at":{SECONDS}}},"x":7,"ethereum":{{"usd":2}}}}'),
        coingecko(f"[{MARKET},7,{MARKET}]"),
        coincap_prices(),
        coincap_prices('{"bitcoin":"1","x":"1","ethereum":2,"solana":"2.50"}'),
    ],
)
def test_both_engines_read_the_same_rows(frame: Frame) -> None:
    found, parsed = judged(frame), parse_frame(frame)
    rows = [*found.tickers, *found.prices]
    good = [row for row in parsed if not isinstance(row, Rejected)]
    assert [row[1:3] for row in rows] == [(row.row, row.venue_symbol) for row in good]  # type: ignore[union-attr]
    assert [bad.row for bad in found.bad] == [row.row for row in parsed if isinstance(row, Rejected)]
    assert found.arrays == [0]


@pytest.fixture
def lake(tmp_path: Path) -> HandLake:
    """Tickers of two pairs twice, prices of two services, a copy, a bad row and a page in quarantine."""
    lake = HandLake(tmp_path / "home")
    us = START_US + 3_000_000_000
    first = {"openTime": us // 1000 - 86_400_000, "closeTime": us // 1000}
    for step in (0, 15_000):
        moved = {"closeTime": us // 1000 + step, "openTime": first["openTime"] + step}
        lake.tickers(ticker(**moved), ticker(**moved, symbol="ETHUSDT", lastPrice="2300.1"))
    frame = lake.frame(SIMPLE, venue="coingecko", channel="price", key="simple/price")
    beside = {"volume_24h": "29096603418.89", "change_24h_pct": "-1.409", "market_cap": "1500000000000"}
    lake.price(frame, 0, "bitcoin", "BTC", "76975", SECONDS * 1_000_000, **beside)
    shib = "0.000011076717269162663"
    lake.price(frame, 1, "shiba-inu", "SHIB", shib, (SECONDS - 7) * 1_000_000, volume_24h="72046967.7242154")
    lake.frame(SIMPLE, venue="coingecko", channel="price", key="simple/price")  # not renewed: two further copies
    listed = lake.frame(f"[{MARKET},7]", venue="coingecko", channel="price", key="coins/markets")
    figures = {"volume_24h": "354062541.69291306", "market_cap": "175424704921"}
    lake.price(listed, 0, "bitcoin", "BTC", "53462.76721412727", 1_723_161_247_919_000, **figures)
    lake.quarantine(listed, "not_object", row=1)
    frame = lake.frame(COINCAP_PRICES, venue="coincap", channel="price", key="prices")
    received_us = START_US + 3_600_000_000
    lake.price(frame, 0, "bitcoin", "BTC", "6929.82", received_us)
    lake.price(frame, 1, "shiba-inu", "SHIB", "0.0000074912345678", received_us)
    lake.quarantine(lake.frame("<html>403</html>", channel="ticker"), "invalid_json")
    lake.frame("Unauthorized", venue="coincap", channel="control", key="prices")
    return lake


def failed(lake: HandLake) -> dict[str, str]:
    lake.write()
    results = audit(load_settings(home=lake.home))
    return {result.name: " | ".join(result.examples) for result in results if not result.passed}


def test_a_correct_lake_passes_and_everything_is_counted(lake: HandLake) -> None:
    assert failed(lake) == {}
    results = {result.name: result for result in audit(load_settings(home=lake.home))}
    assert results["silver.tickers complete"].counted == 4
    assert results["silver.prices complete"].counted == 7
    assert "2 further copies" in results["silver.prices complete"].note
    assert results["silver symbols"].counted == 9


@pytest.mark.parametrize("table", [TICKERS, PRICES])
def test_a_removed_and_a_doubled_row(lake: HandLake, table: object) -> None:
    name = table.name  # type: ignore[attr-defined]
    gone = lake.rows[name].pop()
    assert list(failed(lake)) == [f"{name} complete", "bronze.frames batches"]
    again = HandLake(lake.home.parent / "again")
    again.rows = lake.rows
    again.rows[name] += [gone, dict(gone)]
    assert f"{name} keys" in failed(again)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (TICKERS, "bid_quantity", Decimal(1)),
        (TICKERS, "price_change", Decimal(1)),
        (TICKERS, "first_id", None),
        (PRICES, "price", Decimal("0.0000074912345679")),
        (PRICES, "market_cap", Decimal(1)),
    ],
)
def test_an_altered_field(lake: HandLake, table: object, column: str, value: object) -> None:
    name = table.name  # type: ignore[attr-defined]
    lake.rows[name][-1][column] = value
    found = failed(lake)
    assert list(found) == [f"{name} fields"]
    assert f"{column} is" in found[f"{name} fields"]


def test_a_price_under_another_name_and_one_from_nowhere(lake: HandLake) -> None:
    lake.rows[PRICES.name][0]["symbol"] = "BTC-USDT"
    lake.price({**lake.frames[-1], "offset": 99}, 0, "bitcoin", "BTC", "1", START_US)
    found = failed(lake)
    assert "coingecko bitcoin is BTC-USDT" in found["silver symbols"]
    assert "bronze has no such row" in found["silver.prices sources"]


def test_a_bad_row_among_good_ones_that_vanished(lake: HandLake) -> None:
    lake.rows[QUARANTINE.name].pop(0)
    assert "not_an_object" in failed(lake)["silver.quarantine complete"]


def test_sql_reads_tickers_and_prices_to_the_last_digit(lake: HandLake) -> None:
    lake.write()
    settings = load_settings(home=lake.home)
    told = query(
        settings, "SELECT price, volume_24h FROM silver.prices WHERE symbol = 'SHIB-USD' AND venue = 'coingecko'"
    )
    assert told.to_pylist() == [
        {"price": Decimal("0.0000110767172691626630000000"), "volume_24h": Decimal("72046967.7242154")}
    ]
    told = query(settings, "SELECT symbol, max(quote_volume) AS v FROM gold_bi.tickers GROUP BY symbol ORDER BY symbol")
    assert told.to_pylist() == [{"symbol": s, "v": 11806280.922212} for s in ("BTC-USDT", "ETH-USDT")]
    told = query(settings, "SELECT price FROM gold_bi.prices WHERE venue = 'coincap' AND symbol = 'BTC-USD'")
    assert told.to_pylist() == [{"price": Decimal("6929.82")}]
    told = query(settings, "SELECT count(*) AS n FROM bronze.coingecko_prices")
    assert told.to_pylist() == [{"n": 3}]
