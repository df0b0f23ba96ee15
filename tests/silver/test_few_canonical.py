"""Frames read many at once in memory become the very rows of the strict parser, and others are left to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from bronze_frames import time_of
from corpus import mutations
from corpus.cases import CASES
from damage import beside
from made_frames import GOOD, MS, RECEIVED_US, binance
from test_paths_agree import FIELDS, SEED, canonical, drawn, strict_row

from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema
from silver.few_canonical import canonical_trades_of_few
from silver.rows import Frame
from silver.symbols import Pair, load_symbols

PIECES = (b"", b"0", b"9", b".", b"-", b"e", b" ", b"\n", b'"', b",", b"}", b"{", b"\x00", b"\xc3", b"\\u0041")


def in_memory(frames: list[Frame]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for offset, frame in enumerate(frames):
        headers = {
            name: getattr(frame, name) for name in ("venue", "channel", "key", "session_id", "sequence", "origin")
        }
        received = None if frame.received_us is None else time_of(frame.received_us)
        place = {"topic_id": "T0", "topic": "t", "partition": 0, "offset": offset}
        rows.append({**place, **headers, "received_at": received, "payload": frame.payload})
    return pa.Table.from_pylist(rows, contract_schema(FRAMES))


def read(frames: list[Frame], symbols: Any = None) -> dict[int, dict[str, Any]]:
    read_at_once = canonical_trades_of_few(in_memory(frames), symbols or load_symbols())
    found = {row["offset"]: {name: row[name] for name in FIELDS} for row in read_at_once.trades.to_pylist()}
    control = [offset for offset, frame in enumerate(frames) if frame.channel == "control"]
    assert sorted([*found, *read_at_once.left["offset"].to_pylist(), *control]) == list(range(len(frames)))
    return found


def test_what_is_read_is_what_the_strict_parser_says() -> None:
    print(f"seed {SEED}")
    good = [frame for frame in drawn(canonical(), 1000) if frame.venue == "binance"]
    odd = [*drawn(beside(canonical(), PIECES, 1), 1500), *drawn(mutations.frames(), 300)]
    frames = [*good, *odd, *(case.frame for case in CASES if not case.is_huge)]
    found = read(frames)
    for offset, frame in enumerate(frames):
        taken, strict = found.get(offset), strict_row(frame)
        assert taken is None or taken == strict, frame
        assert offset >= len(good) or taken is not None or strict is None, frame
    taken_good = sum(offset < len(good) for offset in found)
    assert taken_good > len(good) * 0.9
    assert len(found) - taken_good > 10


@pytest.mark.parametrize(
    "header",
    [{"session_id": None}, {"sequence": None}, {"received_us": None}, {"origin": None}, {"channel": "control"}],
)
def test_a_frame_without_a_header_is_left_to_the_strict_parser(header: dict[str, Any]) -> None:
    good = binance(GOOD)
    assert list(read([good, replace(good, **header)])) == [0]


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("61837.63000000", "999999999999.9"),  # times the quantity above the greatest amount
        ("61837.63000000", "0.00000000"),
        (str(MS), str(RECEIVED_US // 1000 + 3_600_001)),  # more than an hour ahead
        (str(MS), "1230767999999"),  # before the first block
        ("BTCUSDT", "USDT"),
        ("BTCUSDT", "NOQUOTE"),
    ],
)
def test_what_breaks_a_limit_is_left_to_the_strict_parser(was: str, becomes: str) -> None:
    text = GOOD.decode().replace('"q":"', '"q":"9', 1)
    assert list(read([binance(text.encode()), binance(text.replace(was, becomes).encode())])) == [0]


def test_a_name_that_the_venue_lists_is_read_as_it_lists_it() -> None:
    listed = replace(load_symbols(), listed={("binance", "BTCUSDT"): Pair("BT", "CUSDT")})
    assert read([binance(GOOD)], listed)[0]["symbol"] == "BT-CUSDT"
