"""The strict parser: what good frames become; every kind of bad one is in tests/corpus."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

from made_frames import COINCAP, KLINE, MS, binance, changed, coincap, klines, rest, rest_row

from silver.parse import parse_frame
from silver.rows import Candle, Frame, Gap, Rejected, Trade
from silver.strict_json import read_document, to_text


def one(frame: Frame) -> Trade:
    (row,) = parse_frame(frame)
    assert isinstance(row, Trade), row
    return row


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
    # No measurement: a quadratic parser takes minutes of processor time at this length, a linear one no second.
    started = time.process_time()
    read_document(b'{"a":"' + b'\\"' * 250_000)
    read_document(b"[" * 250_000 + b"]" * 250_000)
    read_document(b'["' + b"[" * 500_000 + b"\\")
    assert time.process_time() - started < 20


def test_a_rescued_value_is_written_as_it_was_read() -> None:
    text = '{"a":[1,-0.10,1e5,null,true,{"b":"\\u00e9\\""}],"c":123456789012345678901234567890}'
    assert to_text(read_document(text.encode()).value) == text


def test_lines_of_a_dump_are_trades_each_with_its_own_reasons() -> None:
    lines = [
        "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch",
        f"7,61837.63000000,0.02,1236.7,{MS},True,True",
        f"8,61837.63,0.02,1236.7,{MS * 1000 + 7},false,True\r",
        f"9,1e3,0.02,1,{MS},True,True,x",
        f"010,1e3,-1,1,{MS // 1000},yes,True",
        "11,1,1",
        "é,1,1,1,1,True,True",
        f"12,1,1,\x00,{MS},True,True",
        f"13,1,1,1,{MS},True,perhaps",
    ]
    headers = {"channel": "trade_dump", "key": "BTCUSDT", "sequence": 0}
    rows = parse_frame(binance("\n".join(lines).encode() + b"\n", **headers))
    trades = [row for row in rows if isinstance(row, Trade)]
    assert [(t.row, t.trade_id, t.side, t.event_time, t.rescued) for t in trades] == [
        (1, 7, "sell", MS * 1000, None), (2, 8, "buy", MS * 1000 + 7, None),
        (8, 13, "sell", MS * 1000, '{"isBestMatch":"perhaps"}'),
    ]  # fmt: skip
    assert {row.row: set(row.reasons) for row in rows if isinstance(row, Rejected)} == {
        3: {"extra_field"},
        4: {"wrong_type:id", "wrong_type:price", "non_positive:qty", "bad_time_unit", "wrong_type:isBuyerMaker"},
        5: {"missing_field:time", "missing_field:isBuyerMaker"},
        6: {"not_ascii"},
        7: {"control_char"},
    }
    # Only the first frame of a file may begin with a header.
    (first, *_) = parse_frame(binance("\n".join(lines).encode(), **headers | {"sequence": 1}))
    assert isinstance(first, Rejected)
