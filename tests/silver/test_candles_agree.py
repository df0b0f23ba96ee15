"""Candles that are read at once are those of the strict parser, on canonical bodies and on bodies a letter off."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pytest
from corpus import mutations
from corpus.cases import CASES, SOURCES
from damage import beside
from hypothesis import given, settings
from hypothesis import strategies as st
from made_frames import KLINE, RECEIVED_US, klines
from pyspark.sql.pandas.types import to_arrow_schema

from silver import quality
from silver.kinds import FROM_FRAME
from silver.parse import canonical_rows, parse_frame
from silver.rows import Candle, Frame, ParsedRow, Rejected
from silver.strict import SCHEMA, parse_batches, parsed_rows
from silver.symbols import load_symbols

_KLINES = (SOURCES["binance-klines"],)
_LAST_MINUTE = RECEIVED_US // 60_000_000 - 1
_BYTES = (*(bytes([letter]) for letter in b'"[],.-+09eE \n\x00\xff'), b"", b"],[")


def read_at_once(frame: Frame) -> list[ParsedRow] | None:
    found = canonical_rows(frame)
    if found is None:
        return None
    kind, columns = found
    assert kind == Candle.kind
    return [Candle(row, **fields) for row, fields in enumerate(pa.table(dict(columns)).to_pylist())]


@st.composite
def numbers(draw: st.DrawFn, rule: quality.DecimalRule) -> str:
    places = draw(st.integers(0, rule.scale))
    greatest = draw(st.sampled_from((10**6, 10 ** (rule.precision - rule.scale + places))))
    number = draw(st.integers(0 if rule.zero_allowed else 1, greatest - 1))
    whole, fraction = divmod(number, 10**places)
    return f"{whole}.{fraction:0{places}}" if places else str(whole)


@st.composite
def candles(draw: st.DrawFn) -> list[object]:
    minute = 60_000 * draw(st.integers(-(-quality.EARLIEST_US // 60_000_000), _LAST_MINUTE))
    prices = [draw(numbers(quality.PRICE)) for _ in range(4)]
    volume, buy_volume = draw(numbers(quality.VOLUME)), draw(numbers(quality.VOLUME))
    amount, buy_amount = draw(numbers(quality.AMOUNT)), draw(numbers(quality.AMOUNT))
    count = draw(st.integers(0, 10**18 - 1))
    return [minute, *prices, volume, minute + 59_999, amount, count, buy_volume, buy_amount, "0"]


@st.composite
def bodies(draw: st.DrawFn) -> Frame:
    rows = draw(st.lists(candles(), min_size=1, max_size=4))
    return replace(klines(), payload=json.dumps(rows, separators=(",", ":")).encode())


def assert_agrees(frame: Frame) -> None:
    found = read_at_once(frame)
    assert found is None or found == parse_frame(frame)


@settings(deadline=None)
@given(bodies())
def test_a_canonical_body_is_read_at_once(frame: Frame) -> None:
    assert read_at_once(frame) == parse_frame(frame)


@settings(deadline=None)
@given(beside(bodies(), _BYTES, 2) | mutations.frames(_KLINES))
def test_a_body_beside_it_is_never_read_otherwise(frame: Frame) -> None:
    assert_agrees(frame)


def test_no_damage_of_a_good_body_is_overlooked() -> None:
    frames = list(mutations.single_damages(*_KLINES))
    for frame in frames:
        assert_agrees(frame)
    taken = sum(canonical_rows(frame) is not None for frame in frames)
    assert 10 < taken < len(frames) / 4


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((0, minute) for minute in (KLINE[0] + 1, KLINE[0] + 60_000, KLINE[0] + 120_000, 1_230_767_940_000)),
        *((1, price) for price in ("0", "0.000", "-1", "1e3", "01", "1.", "1" * 13, "0.1234567890123", 1, "NaN")),
        *((5, volume) for volume in ("-0", "1" * 27, "0.123456789")),
        *((6, close) for close in (KLINE[6] + 1, KLINE[6] - 1, "1723161179999", KLINE[6] * 1000 + 999)),
        *((7, amount) for amount in ("1" * 19, "0.123456789012345678901")),
        *((8, count) for count in (-1, 1.5, 2**63, "3")),
        *((11, unused) for unused in ("1", 0, None)),
    ],
)
def test_one_candle_that_is_not_canonical_leaves_its_body_to_the_strict_parser(place: int, value: object) -> None:
    other = [*KLINE[:place], value, *KLINE[place + 1 :]]
    frame = canonical(klines(KLINE, other))
    assert read_at_once(canonical(klines(KLINE, KLINE))) is not None
    assert read_at_once(frame) is None


@pytest.mark.parametrize(
    "headers",
    [
        *({name: None} for name in ("venue", "channel", "key", "session_id", "sequence", "received_us", "origin")),
        *(
            {"key": "BTCXYZ"},
            {"key": ""},
            {"venue": "kraken"},
            {"channel": "oversize"},
            {"received_us": RECEIVED_US // 2},
        ),
    ],
)
def test_nothing_is_read_at_once_whose_headers_are_not_all_there_and_good(headers: dict[str, object]) -> None:
    frame = canonical(replace(klines(KLINE), **headers))
    assert read_at_once(frame) is None
    assert all(isinstance(row, Rejected) for row in parse_frame(frame))


def test_a_body_above_the_limit_is_not_read_at_once() -> None:
    rows = [KLINE] * (quality.MAX_FRAME_BYTES // 80)
    assert read_at_once(canonical(klines(*rows[:1000]))) is not None
    frame = canonical(klines(*rows))
    assert len(frame.payload) > quality.MAX_FRAME_BYTES
    assert read_at_once(frame) is None


def test_batches_hold_what_is_read_at_once_as_they_hold_the_rest() -> None:
    frames = [canonical(klines(KLINE, KLINE)), *(case.frame for case in CASES if not case.is_huge)]
    records = [record(frame, offset) for offset, frame in enumerate(frames)]
    batch = pa.RecordBatch.from_pylist(records, _TAKEN)
    rows = [row for each in records for row in parsed_rows(each, load_symbols())]
    strict = pa.Table.from_pylist(rows, to_arrow_schema(SCHEMA)).to_pylist()
    found = list(parse_batches(load_symbols(), [batch.slice(0, 2), batch.slice(2)]))
    assert found[0].num_rows == 2
    assert in_order(row for part in found for row in part.to_pylist()) == in_order(strict)


_TAKEN = pa.schema(
    [
        *(to_arrow_schema(SCHEMA).field(name) for name in FROM_FRAME),
        *(pa.field(name, pa.string()) for name in ("channel", "key")),
        pa.field("payload", pa.binary()),
    ]
)


def record(frame: Frame, offset: int) -> dict[str, object]:
    place = {"topic_id": "T0", "topic": "t", "partition": 0, "offset": offset}
    return {**place, **vars(frame), "received_at": frame.received_us}


def in_order(rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: (row["offset"], row["row"]))


def canonical(frame: Frame) -> Frame:
    """Without blanks, as the venue writes it."""
    return replace(frame, payload=frame.payload.replace(b" ", b""))
