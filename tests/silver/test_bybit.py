"""Bybit: recorded frames are in silver to the last digit, copies by stream and REST are told, bad rows are named."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bronze_frames import Bronze, create_tables, time_of
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from lakehouse.arrow import contract_schema, frame_of
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from silver.few_spans import spans_of
from silver.parse import parse_frame
from silver.rows import Frame, Gap, Rejected, Trade
from silver.survey import survey
from silver.tables import GAPS, TRADES
from silver.trades import ROUTE, TRADE_ROUTE

MS = 1_786_310_819_680
RECEIVED_US = 1_786_310_820_000_000


def stream(*trades: Any, symbol: str = "BTCUSDT", wrapper: dict[str, Any] | None = None, **headers: Any) -> Frame:
    body = {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": MS + 1, "data": list(trades)}
    return framed(body | (wrapper or {}), **headers)


def rest(*trades: Any, result: dict[str, Any] | None = None, wrapper: dict[str, Any] | None = None) -> Frame:
    inner = {"category": "linear", "list": list(trades)} | (result or {})
    body = {"retCode": 0, "retMsg": "OK", "result": inner, "retExtInfo": {}, "time": MS} | (wrapper or {})
    return framed(body, key="BTCUSDT", origin="backfill")


def framed(body: Any, **headers: Any) -> Frame:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    frame = Frame("bybit-linear", "trade", "publicTrade.BTCUSDT", "S1", 5, RECEIVED_US, "stream", payload)
    return replace(frame, **headers)


def fill(key: str, seq: int = 7, **changes: Any) -> dict[str, Any]:
    trade = {"T": MS, "s": "BTCUSDT", "S": "Sell", "v": "0.004", "p": "65114.20", "L": "MinusTick", "i": key}
    return {**trade, "BT": False, "RPI": False, "seq": seq, **changes}


def page(key: str, seq: int = 7, **changes: Any) -> dict[str, Any]:
    trade = {"execId": key, "symbol": "BTCUSDT", "price": "65114.20", "size": "0.004", "side": "Sell"}
    return {**trade, "time": str(MS), "isBlockTrade": False, "isRPITrade": False, "seq": str(seq), **changes}


def trade_of(key: str, row: int = 0, **changes: Any) -> Trade:
    trade = Trade(
        row, "BTC-USDT", "BTC", "USDT", "BTCUSDT", key, None, "sell", Decimal("65114.20"), Decimal("0.004"),
        MS * 1000, None, 7,
    )  # fmt: skip
    return replace(trade, **changes)


@pytest.fixture
def bronze(spark: SparkSession, settings: Settings) -> Bronze:
    lake = Lake(spark, settings)
    create_tables(lake)
    return Bronze(lake)


def test_a_frame_is_a_trade_a_row_and_rest_says_the_same() -> None:
    rows = parse_frame(stream(fill("a9188a0a-82bc"), fill("b", S="Buy", seq=8)))
    assert rows == [trade_of("a9188a0a-82bc"), trade_of("b", 1, side="buy", venue_sequence=8)]
    assert parse_frame(rest(page("a9188a0a-82bc"), page("b", 8, side="Buy"))) == rows


def test_what_the_contract_does_not_name_is_rescued() -> None:
    (row,) = parse_frame(stream(fill("a", mP="1.50", BT=True), wrapper={"cs": 5}))
    assert row == trade_of("a", rescued='{"frame":{"cs":5},"data":{"BT":true,"mP":"1.50"}}')
    assert parse_frame(rest(page("a", isRPITrade=True))) == [trade_of("a", rescued='{"isRPITrade":true}')]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"i": 2290000001189048101}, ["wrong_type:i"]),
        ({"i": ""}, ["unknown_value:i"]),
        ({"i": "a b"}, ["unknown_value:i"]),
        ({"seq": "7"}, ["wrong_type:seq"]),
        ({"seq": None}, ["null_field:seq"]),
        ({"T": MS // 1000}, ["bad_time_unit"]),
        ({"T": str(MS)}, ["wrong_type:T"]),
        ({"S": "buy"}, ["unknown_value:S"]),
        ({"p": 65114.2}, ["wrong_type:p"]),
        ({"v": "0"}, ["non_positive:v"]),
        ({"v": "1e3"}, ["wrong_type:v"]),
        ({"s": "ETHUSDT"}, ["unknown_value:s"]),
        ({"s": "BTC-25DEC26"}, ["unknown_symbol"]),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_kept(changes: dict[str, Any], reasons: list[str]) -> None:
    rows = parse_frame(stream(fill("a"), fill("b", **changes), fill("c")))
    assert rows == [trade_of("a"), Rejected(1, tuple(reasons)), trade_of("c", 2)]


@pytest.mark.parametrize(
    ("frame", "reasons"),
    [
        (stream(fill("a"), wrapper={"topic": "orderbook.50.BTCUSDT"}), {"unknown_value:topic"}),
        (stream(fill("a"), wrapper={"type": "delta"}), {"unknown_value:type"}),
        (stream(fill("a"), wrapper={"data": {}}), {"wrong_type:data"}),
        (stream(), {"unknown_value:data"}),
        (rest(), {"unknown_value:list"}),
        (stream(fill("a"), wrapper={"data": None}), {"null_field:data"}),
        (framed({"success": True, "op": "ping"}), {"missing_field:topic", "missing_field:type", "missing_field:data"}),
        (framed([fill("a")]), {"not_object"}),
        (framed(stream(fill("a")).payload.replace(b'"ts"', b'"type":"snapshot","ts"')), {"duplicate_key"}),
        (stream(fill("a"), venue="bybit-inverse"), {"unknown_venue"}),
        (rest(page("a"), result={"category": "spot"}), {"unknown_value:category"}),
        (rest(page("a"), wrapper={"retCode": 10006}), {"unknown_value:retCode"}),
        (rest(page("a"), wrapper={"result": None}), {"wrong_type:result"}),
        (rest(page("a"), result={"list": None}), {"null_field:list"}),
        (rest(page("a"), result={"list": {}}), {"wrong_type:list"}),
    ],
)
def test_a_frame_that_is_wrong_around_its_trades_is_rejected_whole(frame: Frame, reasons: set[str]) -> None:
    (row,) = parse_frame(frame)
    assert isinstance(row, Rejected)
    assert (row.row, set(row.reasons)) == (-1, reasons)


def test_a_marker_may_be_of_one_symbol() -> None:
    marker = {"kind": "disconnect", "symbol": "BTCPERP", "from_time_us": 1, "to_time_us": 2, "reason": "cut"}
    assert parse_frame(framed(marker, channel="gap")) == [Gap(0, "BTC-USDC", 1, 2, "cut")]
    (row,) = parse_frame(framed(marker | {"symbol": "x"}, channel="gap"))
    assert row == Rejected(-1, ("unknown_symbol",))


def recorded_frames(folder: Path) -> list[Frame]:
    venues, frames = {}, []
    with gzip.open(folder / "bybit_v5_frames.jsonl.gz", "rt") as lines:
        for number, line in enumerate(lines):
            said = json.loads(line)
            if said["t"] == "send":
                venues[said["conn"]] = f"bybit-{said['addr'].rpartition('/')[2]}"
            elif said["data"].startswith('{"topic":"publicTrade.'):
                headers = {"venue": venues[said["conn"]], "sequence": number, "session_id": said["conn"]}
                frames.append(framed(said["data"].encode(), received_us=round(said["ts"] * 1e6), **headers))
    return frames


def test_the_recorded_trades_are_in_silver_to_the_last_digit_and_a_replay_changes_nothing(
    bronze: Bronze, recorded_data: Path
) -> None:
    tape = recorded_frames(recorded_data)
    refined = bronze.carry(tape)
    assert refined.counts["trades"] == 347
    assert refined.counts["quarantined"] == 0
    expected = {}
    for number, frame in enumerate(tape):
        for row, said in enumerate(json.loads(frame.payload)["data"]):
            expected[frame.venue, said["i"]] = {
                "venue": frame.venue, "symbol": said["s"].replace("USDT", "-USDT"), "trade_key": said["i"],
                "base": said["s"].removesuffix("USDT"), "quote": "USDT", "venue_symbol": said["s"], "trade_id": None,
                "venue_sequence": said["seq"], "side": said["S"].lower(), "price": Decimal(said["p"]),
                "quantity": Decimal(said["v"]), "event_time": time_of(said["T"] * 1000),
                "received_at": time_of(frame.received_us or 0), "session_id": frame.session_id,
                "sequence": frame.sequence, "origin": "stream", "topic_id": "T0", "topic": f"{frame.venue}.trade",
                "partition": 0, "offset": number, "row": row, "rescued": None,
            }  # fmt: skip
    stored = {(row["venue"], row["trade_key"]): row for row in bronze.found(TRADES)}
    assert Counter(venue for venue, _ in stored) == {"bybit-linear": 327, "bybit-spot": 20}
    # Trades against the retail book say so.
    for key, row in stored.items():
        if row["rescued"] is not None:
            assert row["rescued"] == '{"RPI":true}'
            expected[key]["rescued"] = row["rescued"]
    assert stored == expected
    before = bronze.versions()
    assert bronze.carry(tape).counts["copies"] == 347
    assert bronze.versions() == before


def test_copies_by_stream_and_rest_are_told_by_key_and_contradictions_are_quarantined(bronze: Bronze) -> None:
    # Fills of one match share seq; they are no copies of each other.
    first = bronze.carry([stream(fill("a", 7), fill("b", 7)), stream(fill("b", 7), fill("c", 8))])
    assert (first.counts["trades"], first.counts["copies"]) == (3, 1)
    second = bronze.carry([rest(page("d", 9), page("c", 8), page("b", 7), page("a", 7))])
    assert (second.counts["trades"], second.counts["copies"]) == (1, 3)
    third = bronze.carry([stream(fill("c", 8, p="65114.21"), fill("e", 9))])
    assert (third.counts["trades"], third.counts["quarantined"]) == (1, 1)
    assert bronze.quarantined() == {(3, 0): {"conflicting_duplicate"}}
    keys = [("a", 7), ("b", 7), ("c", 8), ("d", 9), ("e", 9)]
    assert bronze.trades("trade_key", "venue_sequence") == keys
    # The same key is another trade on the other market.
    fourth = bronze.carry([stream(fill("a", 7), venue="bybit-spot")])
    assert fourth.counts["trades"] == 1


def test_a_match_that_is_split_over_frames_is_in_silver_once(bronze: Bronze) -> None:
    keys = [f"fill-{number}" for number in range(1_500)]
    frames = [stream(*map(fill, keys[:1_024])), stream(*map(fill, keys[1_024:]), sequence=6)]
    assert bronze.carry(frames).counts["trades"] == 1_500
    again = bronze.carry([rest(*map(page, keys[900:1_100])), *frames, stream(fill("fill-1500"), sequence=7)])
    assert (again.counts["trades"], again.counts["copies"], again.counts["quarantined"]) == (1, 1_700, 0)
    assert len(set(bronze.trades("trade_key"))) == len(bronze.trades("trade_key")) == 1_501


def test_two_symbols_may_fall_silent_at_the_same_moment(bronze: Bronze) -> None:
    marker = {"kind": "disconnect", "from_time_us": MS * 1000, "to_time_us": MS * 1000 + 1, "reason": "cut"}
    markers = [framed(marker | {"symbol": symbol}, channel="gap") for symbol in ("BTCUSDT", "ETHUSDT")]
    assert bronze.carry([*markers, markers[0]]).counts["gaps"] == 2
    assert bronze.rows(GAPS, "venue", "symbol") == [
        ("bybit-linear", "BTC-USDT"), ("bybit-linear", "ETH-USDT"),
    ]  # fmt: skip


def test_fills_of_one_match_are_no_copies_of_each_other_and_a_key_that_comes_twice_is(spark: SparkSession) -> None:
    """Only where a key may repeat is silver asked for copies: else every batch of Bybit would be joined with it."""
    for keys, repeats in (("abc", False), ("aba", True)):
        made = [{"venue": "bybit-linear", "symbol": "BTC-USDT", "trade_key": key, "venue_sequence": 7} for key in keys]
        heard = {"session_id": "S", "sequence": 5, "received_at": time_of(RECEIVED_US)}
        rows = pa.Table.from_pylist([row | heard for row in made], contract_schema(TRADES))
        few = spans_of(rows)
        many = survey(frame_of(spark, rows).withColumn(ROUTE, f.lit(TRADE_ROUTE))).spans
        assert few == many
        assert [(span.rows, span.lowest, span.highest, span.repeats) for span in few] == [(3, 7, 7, repeats)]
