"""Tickers and prices: what the strict parsers take, to the last digit, and every reason for what they do not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from polled_frames import (
    BAD,
    CLOSE_MS,
    MARKET,
    OPEN_MS,
    RECEIVED_US,
    SECONDS,
    coincap_prices,
    coingecko,
    market,
    simple,
    ticker,
    tickers,
)

from silver.parse import parse_frame
from silver.rows import Frame, Price, Rejected, Ticker
from silver.symbols import load_symbols


@pytest.mark.parametrize(("frame", "row", "reasons"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_row_that_cannot_be_used_is_rejected_with_every_reason(frame: Frame, row: int, reasons: set[str]) -> None:
    (rejected,) = parse_frame(frame)
    assert isinstance(rejected, Rejected)
    assert (rejected.row, set(rejected.reasons)) == (row, reasons)


def test_a_ticker_keeps_every_field() -> None:
    (parsed,) = parse_frame(tickers())
    assert parsed == Ticker(
        row=0,
        symbol="BTC-USDT",
        base="BTC",
        quote="USDT",
        venue_symbol="BTCUSDT",
        close_time=CLOSE_MS * 1000,
        last_price=Decimal("53487.8"),
        price_change=Decimal("-1061.83"),
        price_change_pct=Decimal("-1.947"),
        weighted_average_price=Decimal("54089.59775959"),
        previous_close_price=Decimal("54534.79"),
        last_quantity=Decimal("0.00598"),
        bid_price=Decimal("53479.24"),
        bid_quantity=Decimal("0.0063"),
        ask_price=Decimal("53487.8"),
        ask_quantity=Decimal("0.00598"),
        open_price=Decimal("54549.63"),
        high_price=Decimal("55086.05"),
        low_price=Decimal("53094.45"),
        volume=Decimal("218.27267"),
        quote_volume=Decimal("11806280.922212"),
        open_time=OPEN_MS * 1000,
        first_id=3015280796,
        last_id=3015295304,
        trade_count=14509,
        rescued=None,
    )


def test_a_day_without_a_trade_or_a_book_and_an_extra_field_are_no_fault() -> None:
    nothing = dict.fromkeys(
        ("weightedAvgPrice", "bidPrice", "bidQty", "askPrice", "askQty", "volume", "quoteVolume"), "0"
    )
    quiet = ticker(**nothing, firstId=-1, lastId=-1, count=0, priceChange="0.000", priceChangePercent="0.000", new="x")
    good, bad, parsed = parse_frame(tickers(ticker(), {**ticker(), "count": "7"}, quiet))
    assert isinstance(good, Ticker)
    assert isinstance(bad, Rejected)
    assert isinstance(parsed, Ticker)
    assert (bad.row, bad.reasons) == (1, ("wrong_type:count",))
    assert (parsed.first_id, parsed.last_id, parsed.trade_count, parsed.volume) == (None, None, 0, 0)
    assert (parsed.row, parsed.rescued) == (2, '{"new":"x"}')


def test_simple_prices_are_exact_however_their_numbers_are_written() -> None:
    bitcoin, shib = parse_frame(coingecko())
    assert bitcoin == Price(
        row=0,
        symbol="BTC-USD",
        base="BTC",
        quote="USD",
        venue_symbol="bitcoin",
        updated_at=SECONDS * 1_000_000,
        price=Decimal(76975),
        volume_24h=Decimal("29096603418.89"),
        change_24h_pct=Decimal("-1.409"),
        market_cap=Decimal(1_500_000_000_000),
        rescued=None,
    )
    assert isinstance(shib, Price)
    assert shib.price == Decimal("0.000011076717269162663")  # 21 decimals: a full double, not one digit lost
    assert (shib.symbol, shib.change_24h_pct, shib.market_cap, shib.row) == ("SHIB-USD", None, None, 1)
    assert parse_frame(coingecko("{}")) == []
    (tiny,) = parse_frame(simple(f'"usd":1e-28,"last_updated_at":{SECONDS},"new":[1.50]'))
    assert isinstance(tiny, Price)
    assert (tiny.price, tiny.rescued) == (Decimal("1e-28"), '{"new":[1.50]}')


def test_a_list_of_markets_has_other_names_and_times_and_the_same_meaning() -> None:
    (parsed,) = parse_frame(coingecko(f"[{MARKET}]"))
    assert isinstance(parsed, Price)
    assert (parsed.price, parsed.market_cap) == (Decimal("53462.76721412727"), 175424704921)
    assert (parsed.volume_24h, parsed.change_24h_pct) == (Decimal("354062541.69291306"), None)
    assert parsed.updated_at == 1_723_161_247_919_000
    assert (parsed.rescued, parsed.symbol) == (None, "BTC-USD")
    (whole,) = parse_frame(market("07.919Z", "07Z"))
    assert isinstance(whole, Price)
    assert whole.updated_at == 1_723_161_247_000_000


def test_coincap_prices_are_of_the_moment_they_were_received() -> None:
    bitcoin, shib = parse_frame(coincap_prices())
    assert isinstance(bitcoin, Price)
    assert isinstance(shib, Price)
    assert (bitcoin.updated_at, bitcoin.price, bitcoin.venue_symbol) == (RECEIVED_US, Decimal("6929.82"), "bitcoin")
    assert shib == replace(
        bitcoin, row=1, symbol="SHIB-USD", base="SHIB", venue_symbol="shiba-inu", price=Decimal("0.0000074912345678")
    )


def test_no_two_coins_of_coingecko_share_a_name() -> None:
    names = load_symbols().coingecko_ids
    assert len(set(names.values())) == len(names)
