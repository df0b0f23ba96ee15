"""The strict parser: what it takes, and every reason it gives for what it does not."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import pytest
from malformed import CASES, COINCAP, GOOD, KLINE, MS, binance, changed, coincap, klines, rest, rest_row

from silver.parse import parse_frame
from silver.rows import Candle, Frame, Gap, Rejected, Trade
from silver.strict_json import read_document, to_text


def one(frame: Frame) -> Trade:
    (row,) = parse_frame(frame)
    assert isinstance(row, Trade), row
    return row


@pytest.mark.parametrize(("frame", "reasons"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_malformed_frame_is_rejected_with_every_reason(frame: Frame, reasons: set[str]) -> None:
    (row,) = parse_frame(frame)
    assert isinstance(row, Rejected)
    assert set(row.reasons) == reasons
    assert len(set(row.reasons)) == len(row.reasons)


def test_a_trade_of_binance_keeps_every_digit() -> None:
    trade = one(binance())
    assert trade == Trade(
        row=0,
        symbol="BTC-USDT",
        base="BTC",
        quote="USDT",
        venue_symbol="BTCUSDT",
        trade_key="7",
        trade_id=7,
        side="sell",
        price=Decimal("61837.63000000"),
        quantity=Decimal("0.02000000"),
        event_time=MS * 1000,
        rescued=None,
    )
    assert one(changed('"m":true', '"m":false')).side == "buy"


@pytest.mark.parametrize(
    ("frame", "rescued"),
    [
        (binance(b'{"stream":"btcusdt@trade","data":' + GOOD + b"}"), None),
        (binance(b" " + GOOD + b"\r\n"), None),
        (changed('"T":1723161254123', '"b":88,"a":50,"T":1723161254123'), None),
        (changed('"e":"trade","E":1723161254124,', ""), None),
        (changed("BTCUSDT", "\\u0042TCUSDT"), None),
        (changed('"M":true', '"M":null'), '{"M":null}'),
        (changed('"M":true', '"X":"MARKET","st":1.50'), '{"X":"MARKET","st":1.50}'),
        (changed('"M":true', '"n":12345678901234567890.10'), '{"n":12345678901234567890.10}'),
        (
            binance(b'{"stream":"btcusdt@trade","data":' + GOOD + b',"v":[1,true,"\xc3\xa9"]}'),
            '{"frame":{"v":[1,true,"\\u00e9"]},"data":{}}',
        ),
    ],
)
def test_another_form_of_a_good_trade_gives_the_same_row_and_unknown_fields_are_rescued(
    frame: Frame, rescued: str | None
) -> None:
    assert one(frame) == replace(one(binance()), rescued=rescued)


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        (str(MS), f"{MS}456", "event_time", MS * 1000 + 456),
        (str(MS), "1723164855000", "event_time", 1_723_164_855_000_000),
        (str(MS), "1230768000000", "event_time", 1_230_768_000_000_000),
        ('"t":7', '"t":9223372036854775807', "trade_id", 2**63 - 1),
        ('"t":7', '"t":0', "trade_id", 0),
        ("61837.63000000", "0.000000000001", "price", Decimal("0.000000000001")),
        ("0.02000000", "16100000.5", "quantity", Decimal("16100000.5")),
        ("BTCUSDT", "ADAEUR", "symbol", "ADA-EUR"),
        ("BTCUSDT", "USDTTRY", "symbol", "USDT-TRY"),
        ("BTCUSDT", "FDUSDUSDT", "symbol", "FDUSD-USDT"),
        ("BTCUSDT", "1000SATSFDUSD", "symbol", "1000SATS-FDUSD"),
        ("BTCUSDT", "币安人生USDT", "symbol", "币安人生-USDT"),
    ],
)
def test_what_just_fits_is_taken(old: str, new: str, field: str, value: object) -> None:
    assert getattr(one(changed(old, new)), field) == value


def test_an_amount_just_above_the_bound_is_told_from_one_on_it() -> None:
    def with_quantity(text: str) -> Frame:
        return replace(
            changed('"61837.63000000"', '"100000.000000000000"'),
            payload=GOOD.replace(b"61837.63000000", b"100000.000000000000").replace(b"0.02000000", text.encode()),
        )

    assert one(with_quantity("10000000.00000000")).quantity == 10_000_000
    (row,) = parse_frame(with_quantity("10000000.00000001"))
    assert isinstance(row, Rejected)
    assert row.reasons == ("amount_overflow",)


@pytest.mark.parametrize(
    ("price", "exact"),
    [("180", "180"), ("1.2e-7", "0.00000012"), ("1E+3", "1000"), ("0.123456789012", "0.123456789012"), ("9.0", "9.0")],
)
def test_a_json_number_never_passes_through_a_float(price: str, exact: str) -> None:
    assert one(changed("19365.59", price, coincap())).price == Decimal(exact)


def test_the_key_of_a_venue_without_ids_is_its_place_and_never_its_content() -> None:
    first, second = one(coincap()), one(coincap(sequence=10))
    assert (first.trade_key, second.trade_key) == ("C1:9:0", "C1:10:0")
    assert replace(second, trade_key=first.trade_key) == first
    assert (first.symbol, first.venue_symbol, first.side, first.trade_id) == ("BTC-USDT", "bitcoin-tether", "buy", None)
    assert one(replace(coincap(), payload=COINCAP.replace(b',"priceUsd":19371.06', b""))) == first


def test_one_bad_row_of_a_rest_body_goes_alone() -> None:
    rows = parse_frame(rest(rest_row(1), rest_row(2, price="-4"), 3, rest_row(4, isBestMatch=None, note="x")))
    assert [type(row) for row in rows] == [Trade, Rejected, Rejected, Trade]
    assert [row.row for row in rows] == [0, 1, 2, 3]
    assert isinstance(rows[1], Rejected)
    assert rows[1].reasons == ("non_positive:price",)
    assert isinstance(rows[3], Trade)
    assert rows[3].rescued == '{"isBestMatch":null,"note":"x"}'
    assert isinstance(rows[0], Trade)
    assert (rows[0].symbol, rows[0].trade_key, rows[0].side) == ("BTC-USDT", "1", "sell")
    assert parse_frame(rest()) == []


def test_a_body_that_breaks_off_goes_whole() -> None:
    body = rest(rest_row(1), rest_row(2))
    assert parse_frame(replace(body, payload=body.payload[:-5])) == [Rejected(-1, ("truncated",))]
    assert parse_frame(replace(body, session_id=None)) == [Rejected(-1, ("missing_header:session_id",))]


def test_a_candle() -> None:
    quiet = [KLINE[0] - 60000, "1", "1", "1", "1", "0.00000000", KLINE[6] - 60000, "0.00", 0, "0", "0", "0"]
    rows = parse_frame(klines(KLINE, quiet))
    assert rows[0] == Candle(
        row=0,
        symbol="BTC-USDT",
        venue_symbol="BTCUSDT",
        minute=1723161120000000,
        open=Decimal("1.5"),
        high=Decimal(2),
        low=Decimal(1),
        close=Decimal("1.75"),
        volume=Decimal("10.5"),
        buy_volume=Decimal("4.5"),
        amount=Decimal("17.25"),
        trade_count=3,
    )
    assert isinstance(rows[1], Candle)
    assert rows[1].trade_count == 0
    micros = [KLINE[0] * 1000, *KLINE[1:6], KLINE[6] * 1000 + 999, *KLINE[7:]]
    assert parse_frame(klines(micros)) == rows[:1]


def test_a_disconnect_marker() -> None:
    payload = b'{"kind":"disconnect","from_time_us":8,"to_time_us":9,"reason":"stalled"}'
    assert parse_frame(coincap(payload, channel="gap")) == [Gap(0, "*", 8, 9, "stalled")]


def test_hostile_text_costs_linear_time() -> None:
    started = time.perf_counter()
    read_document(b'{"a":"' + b'\\"' * 250_000)
    read_document(b"[" * 250_000 + b"]" * 250_000)
    read_document(b'["' + b"[" * 500_000 + b"\\")
    assert time.perf_counter() - started < 2


def test_a_rescued_value_is_written_as_it_was_read() -> None:
    text = '{"a":[1,-0.10,1e5,null,true,{"b":"\\u00e9\\""}],"c":123456789012345678901234567890}'
    assert to_text(read_document(text.encode()).value) == text
