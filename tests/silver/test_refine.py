"""Refine on real Delta tables: every frame ends where it belongs, once, whatever comes twice or is cut off."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from bronze_frames import Bronze, counts, time_of
from crash_points import SEED, Cut, cut_at, drawn_points
from experiments import Experiment
from made_frames import GOOD, KLINE, MS, RECEIVED_US, binance, coincap, klines, listing, rest, rest_row
from polled_frames import coincap_prices, ticker, tickers

import silver.refine
from lakehouse.lake import Lake
from silver.kinds import BESIDE_TRADES
from silver.refine import Refine
from silver.rows import Frame
from silver.tables import CANDLES, GAPS, PRICES, SYMBOLS, TICKERS, TRADES

TRADE_FIELDS = ("symbol", "trade_key", "trade_id", "side", "price", "quantity", "event_time", "row", "rescued")


def trade(trade_id: int, price: str = "1.5", time: int = MS, **headers: object) -> Frame:
    text = GOOD.decode().replace('"t":7', f'"t":{trade_id}').replace("61837.63000000", price)
    return binance(text.replace(str(MS), str(time)).encode(), **headers)


def test_the_recorded_tape_is_in_silver_to_the_last_digit_and_a_replay_changes_nothing(
    bronze: Bronze, recorded_data: Path
) -> None:
    with gzip.open(recorded_data / "binance_spot_btcusdt_trades.jsonl.gz", "rt") as lines:
        records = [json.loads(line) for line in lines]
    tape = [
        binance(r["frame"].encode(), sequence=number, received_us=r["received_ns"] // 1000, origin="replay")
        for number, r in enumerate(records)
    ]
    refined = bronze.carry(tape)
    assert refined.counts["trades"] == len(tape) == 19_904
    assert refined.trades_version == 1
    expected = {}
    for number, record in enumerate(records):
        data = json.loads(record["frame"], parse_float=Decimal)["data"]
        expected[data["t"]] = {
            "venue": "binance", "symbol": "BTC-USDT", "trade_key": str(data["t"]), "base": "BTC", "quote": "USDT",
            "venue_symbol": "BTCUSDT", "trade_id": data["t"], "side": "sell" if data["m"] else "buy",
            "price": Decimal(data["p"]), "quantity": Decimal(data["q"]), "event_time": time_of(data["T"] * 1000),
            "received_at": time_of(record["received_ns"] // 1000), "session_id": "S1", "sequence": number,
            "origin": "replay", "topic_id": "T0", "topic": "binance.trade", "partition": 0, "offset": number, "row": 0,
            "venue_sequence": None, "rescued": None,
        }  # fmt: skip
    assert {row["trade_id"]: row for row in bronze.found(TRADES)} == expected
    refined.release()

    before = bronze.versions()
    again = Refine(bronze.lake)
    version = bronze.land(tape)
    replayed = again.run(bronze.lake.read_changes(silver.refine.FRAMES, version - 1, version), version)
    assert replayed.counts["copies"] == 19_904
    assert replayed.trades_version is None
    assert replayed.trades is None
    assert bronze.versions() == before
    replayed.release()


def test_the_recorded_coincap_frames_are_thirteen_trades_however_often_they_are_replayed(
    bronze: Bronze, recorded_data: Path
) -> None:
    frames = []
    for number, line in enumerate((recorded_data / "coincap_v2_trades.jsonl").read_bytes().splitlines()):
        document = json.loads(line)
        received = document["timestamp"] * 1000 + 250_000
        headers = {"venue": f"coincap-{document['exchange']}", "sequence": number, "received_us": received}
        frames.append(coincap(line, **headers))
    assert bronze.carry(frames).counts["trades"] == 13
    found = bronze.trades("venue", "symbol", "side", "price", "quantity", "trade_key")
    assert ("coincap-bitso", "XRP-USDT", "buy", Decimal("0.6174"), 180, "C1:1:0") in found
    assert ("coincap-binance", "DOGE-USDT", "sell", Decimal("0.07891"), 1073, "C1:9:0") in found
    assert ("coincap-gemini", "ETH-SGD", "sell", Decimal("4217.1"), Decimal("0.004686"), "C1:10:0") in found
    before = bronze.versions()
    assert bronze.carry(frames).counts["copies"] == 13
    assert bronze.versions() == before


def test_a_further_copy_is_dropped_and_a_contradiction_quarantined_within_a_batch_and_against_silver(
    bronze: Bronze,
) -> None:
    later = {"received_us": RECEIVED_US + 1}
    first = bronze.carry(
        [
            trade(10),
            trade(10, **later),
            trade(10, "1.50", origin="backfill", **later),
            trade(10, "1.6", **later),
            trade(11, "2.0", **later),
            trade(11, "2.1"),  # landed after, received before: this one counts
            trade(20),
            coincap(),
            coincap(**later),
            coincap(sequence=10),  # the same content in another place is another trade
        ]
    )
    assert first.counts == counts(frames=10, trades=5, copies=3, quarantined=2)
    rows = bronze.trades("trade_key", "price", "offset")
    price = Decimal("19365.59")
    assert rows == [
        ("10", Decimal("1.5"), 0), ("11", Decimal("2.1"), 5), ("20", Decimal("1.5"), 6),
        ("C1:10:0", price, 9), ("C1:9:0", price, 7),
    ]  # fmt: skip
    conflict = {"conflicting_duplicate"}
    assert bronze.quarantined() == {(3, 0): conflict, (4, 0): conflict}
    assert bronze.rows(first.trades, "trade_key", "price", "offset") == rows

    second = bronze.carry(
        [
            trade(10),  # 10
            trade(10, "1.7", received_us=RECEIVED_US - 1),  # 11: earlier than the stored one, which counts all the same
            trade(10, "1.7"),  # 12
            trade(11, "2.1", MS * 1000 + 7),  # 13: a dump carries microseconds
            trade(12),  # 14: late, below the highest id, and new
            trade(21),  # 15
            rest(rest_row(12, price="1.5", qty="0.02"), rest_row(13), rest_row(20, price="9")),  # 16
            coincap(),  # 17
            coincap(sequence=8),  # 18
            replace(coincap(), payload=coincap().payload.replace(b"0.07", b"0.08")),  # 19
        ]
    )
    new = [("12", 14, 0), ("13", 16, 1), ("21", 15, 0), ("C1:8:0", 18, 0)]
    assert bronze.rows(second.trades, "trade_key", "offset", "row") == new
    assert second.counts == counts(frames=10, trades=4, copies=4, quarantined=4)
    assert set(bronze.quarantined()) == {(3, 0), (4, 0), (11, 0), (12, 0), (16, 2), (19, 0)}
    assert bronze.trades("trade_key") == sorted([*((row[0],) for row in rows), *((row[0],) for row in new)])


def test_two_collectors_of_a_venue_with_ids_are_heard_once(bronze: Bronze) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    heard = [
        trade(number, session_id=session, sequence=number, received_us=RECEIVED_US + number * 1_000 + after)
        for session, after in (("A", 0), ("B", 700))
        for number in range(40, 100)
    ]
    random.Random(SEED).shuffle(heard)  # noqa: S311
    told = [bronze.carry(heard[start : start + 40]).counts for start in range(0, 120, 40)]
    assert sum(each["trades"] for each in told) == sum(each["copies"] for each in told) == 60
    assert bronze.trades("trade_id") == [(number,) for number in range(40, 100)]
    assert bronze.quarantined() == {}


def test_candles_and_gaps_are_written_once(bronze: Bronze) -> None:
    marker = {"kind": "disconnect", "from_time_us": 5_000_000, "to_time_us": 9_000_000, "reason": "stalled"}
    gap = coincap(json.dumps(marker).encode(), channel="gap")
    earlier = [KLINE[0] - 60_000, *KLINE[1:6], KLINE[6] - 60_000, *KLINE[7:]]
    other = [*KLINE[:4], "1.76", *KLINE[5:]]
    batch = [klines(earlier, KLINE, KLINE), gap, gap, klines(other, received_us=RECEIVED_US + 1)]
    refined = bronze.carry(batch)
    assert refined.counts == counts(frames=4, trades=0, candles=2, gaps=1, copies=2, quarantined=1)
    assert (refined.candles_version, refined.trades_version) == (1, None)
    minutes = [(time_of(us).replace(tzinfo=None), Decimal("1.75")) for us in (1723161060000000, 1723161120000000)]
    assert bronze.rows(refined.candles, "minute", "close") == minutes
    assert bronze.rows(CANDLES, "minute", "close") == minutes
    (candle,) = bronze.found(CANDLES, row=1)
    wanted = ("BTC-USDT", "BTCUSDT", Decimal("10.5"), Decimal("4.5"), Decimal("17.25"), 3, "backfill")
    assert (
        tuple(candle[n] for n in ("symbol", "venue_symbol", "volume", "buy_volume", "amount", "trade_count", "origin"))
        == wanted
    )
    (row,) = bronze.found(GAPS)
    assert (row["venue"], row["symbol"], row["status"], row["reason"]) == (
        "coincap-bitso",
        "*",
        "unrecoverable",
        "stalled",
    )
    assert (row["from_time"], row["to_time"]) == tuple(time_of(us * 10**6) for us in (5, 9))
    assert bronze.quarantined() == {(3, 0): {"conflicting_duplicate"}}
    before = bronze.versions()
    assert bronze.carry(batch[:3]).counts["copies"] == 5
    assert bronze.versions() == before


def crash_batches(count: int) -> list[list[Frame]]:
    """Each has something for every table, and copies and contradictions of its own rows and of the batch before."""
    found = []
    for number in range(count):
        gap = {"kind": "disconnect", "from_time_us": number, "to_time_us": number + 1, "reason": "x"}
        minute = [KLINE[0] - number * 60_000, *KLINE[1:6], KLINE[6] - number * 60_000, *KLINE[7:]]
        first = 10 * number
        found.append(
            [
                *[trade(first + step) for step in (1, 2, 2)],
                trade(first + 1, "7.5", received_us=RECEIVED_US + 5),
                trade(max(first - 9, 2), "1.5"),
                trade(max(first - 8, 2), "8.5", received_us=RECEIVED_US + 5),
                binance(b"garbage"),
                coincap(json.dumps(gap).encode(), channel="gap"),
                klines(minute),
                tickers(ticker(closeTime=MS - number), 7),
                coincap_prices('{"bitcoin":"1.5","x":"1"}', received_us=RECEIVED_US + number),
                listing(f"N{number}XYZ", f"N{number}", "XYZ"),
            ]
        )
    return found


@pytest.mark.experiment(
    14,
    fault="a crash between any two writes of refine, with copies and contradictions about",
    holds="I1 I2 I7: each row is where it belongs, once",
)
def test_a_crash_between_any_two_writes_loses_and_doubles_nothing(
    bronze: Bronze, monkeypatch: pytest.MonkeyPatch, experiment: Experiment
) -> None:
    # One table that is a copy's own judge, the quarantine that is not, and the last one.
    faults = [
        *drawn_points([kind.fault for kind in BESIDE_TRADES], 1),
        "after_quarantine_commit",
        "after_silver_commit",
    ]
    for fault, frames in zip(faults, crash_batches(len(faults)), strict=True):
        monkeypatch.setattr(silver.refine, "fault_point", cut_at(fault))
        with pytest.raises(Cut):
            bronze.carry(frames)
        monkeypatch.setattr(silver.refine, "fault_point", cut_at("none"))
        bronze.refine = Refine(bronze.lake)
        experiment.done()
        assert bronze.refine.drain() == (0 if fault == "after_silver_commit" else 1)
    assert bronze.refine.drain() == 0

    batches = range(len(faults))
    assert bronze.trades("trade_id", "price") == [
        (10 * number + step, Decimal("1.5")) for number in batches for step in (1, 2)
    ]
    conflicts = {(12 * number + place, 0): {"conflicting_duplicate"} for number in batches for place in (3, 5)}
    garbage = {(12 * number + 6, -1): {"invalid_json"} for number in batches}
    numbers = {(12 * number + 9, 1): {"not_object"} for number in batches}
    unknown = {(12 * number + 10, 1): {"unknown_symbol"} for number in batches}
    assert bronze.quarantined() == conflicts | garbage | numbers | unknown
    for place, table in enumerate((GAPS, CANDLES, TICKERS, PRICES, SYMBOLS), start=7):
        assert bronze.rows(table, "offset") == [(12 * number + place,) for number in batches]


def test_drain_takes_bronze_in_groups_of_bounded_size_and_goes_on_where_it_stopped(bronze: Bronze) -> None:
    limits = bronze.lake.settings.lake.model_copy(update={"max_offsets_per_trigger": 20})
    lake = Lake(bronze.lake.spark, bronze.lake.settings.model_copy(update={"lake": limits}))
    for start in range(0, 50, 10):
        bronze.land([trade(start + step) for step in range(10)])
    refine = Refine(lake)
    assert refine.drain() == 5
    assert bronze.versions() == [0, 0, 0, 0, 0, 0, 3]
    assert bronze.trades("trade_id") == [(number,) for number in range(50)]
    assert refine.drain() == 0
    bronze.land([binance(b"[", sequence=1)])
    bronze.land([trade(50)])
    assert Refine(lake).drain() == 2
    assert len(bronze.trades("trade_id")) == 51
    assert len(bronze.quarantined()) == 1
