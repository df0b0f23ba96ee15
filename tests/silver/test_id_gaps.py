"""Rows of silver.gaps for missing ids: opened when a hole lasts, closed when it is filled, exact after any crash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from bronze_frames import Bronze
from crash_points import Cut, cut_at
from made_frames import GOOD, MS, RECEIVED_US, binance, coincap, rest, rest_row

import silver.id_gaps
import silver.refine
from lakehouse.lake import Lake
from silver.refine import Refine
from silver.rows import Frame
from silver.tables import GAPS, TRADES

S = 1_000_000
COLUMNS = ("symbol", "from_id", "to_id", "status")


def trades(ids: Iterable[int], at_s: float = 0, symbol: str = "BTCUSDT") -> list[Frame]:
    text = GOOD.decode().replace("BTCUSDT", symbol)
    received_us = RECEIVED_US + int(at_s * S)
    return [binance(text.replace('"t":7', f'"t":{n}').encode(), received_us=received_us) for n in ids]


def fill(ids: Iterable[int], at_s: float = 0) -> Frame:
    rows = [rest_row(n, price="61837.63", qty="0.02") for n in ids]
    return rest(*rows, received_us=RECEIVED_US + int(at_s * S))


def lost(first: int, last: int, **headers: object) -> Frame:
    marker = {"kind": "unrecoverable", "symbol": "BTCUSDT", "from_id": first, "to_id": last}
    given = {"channel": "gap", "key": "BTCUSDT", "origin": "backfill", **headers}
    return binance(json.dumps(marker).encode(), **given)


@pytest.fixture
def bronze(new_bronze: Callable[[str], Bronze]) -> Bronze:
    """Bronze of a lake that closes the rows of filled gaps at once."""
    lake = new_bronze("one").lake
    limits = lake.settings.lake.model_copy(update={"correction_interval_s": 0})
    return Bronze(Lake(lake.spark, lake.settings.model_copy(update={"lake": limits})))


def gaps(bronze: Bronze) -> list[tuple[Any, ...]]:
    return bronze.rows(GAPS, *COLUMNS)


@pytest.mark.parametrize("few_frames", [None, 0], ids=["in memory", "by Spark"])
def test_a_hole_closed_within_five_seconds_is_no_row_and_one_that_lasts_is_opened_and_closed(
    bronze: Bronze, few_frames: int | None
) -> None:
    bronze = refined_by(bronze, few_frames)
    bronze.carry([*trades([1, 2, 6], 0), *trades([1, 2, 4, 3, 5], 0, "ETHUSDT"), coincap()])
    bronze.carry([fill([3, 4, 5], 3), *trades([9], 4)])
    assert bronze.lake.version(GAPS) == 0
    # In the batch that shows it, before its trades: what was received since is five seconds younger.
    bronze.carry([*trades([12], 4.5), *trades([13], 9.5)])
    assert gaps(bronze) == [("BTC-USDT", 7, 8, "open"), ("BTC-USDT", 10, 11, "open")]
    bronze.carry([fill([7, 10, 11], 20)])
    assert gaps(bronze) == [("BTC-USDT", 7, 8, "open"), ("BTC-USDT", 10, 11, "closed")]
    bronze.carry([fill([8], 21)])
    (row,) = bronze.found(GAPS, from_id=7)
    assert (row["venue"], row["status"], row["reason"]) == ("binance", "closed", "trade ids are missing")
    assert row["detected_at"] < row["closed_at"]
    assert (row["from_time"], row["topic"], row["offset"]) == (None, None, None)


def refined_by(bronze: Bronze, few_frames: int | None) -> Bronze:
    """The same lake, whose batches go through Spark where none is few."""
    if few_frames is None:
        return bronze
    settings = bronze.lake.settings
    limits = settings.lake.model_copy(update={"few_frames": few_frames})
    return Bronze(Lake(bronze.lake.spark, settings.model_copy(update={"lake": limits})))


def test_a_silence_without_a_missing_id_opens_nothing_and_a_venue_gone_quiet_opens_its_holes(bronze: Bronze) -> None:
    bronze.carry([*trades([1, 2], 0), *trades([3], 17_000)])
    bronze.carry(trades([5], 17_001))
    refine = bronze.refine
    now_s = RECEIVED_US / S + 17_001
    refine.on_timer(now_s + 4.9)
    assert bronze.lake.version(GAPS) == 0
    refine.on_timer(now_s + 5)
    refine.on_timer(now_s + 600)
    assert gaps(bronze) == [("BTC-USDT", 4, 4, "open")]
    assert bronze.lake.version(GAPS) == 1


def crash(bronze: Bronze, monkeypatch: pytest.MonkeyPatch, point: str, frames: list[Frame]) -> Bronze:
    """Carry a batch up to a point, then start again from the tables."""
    for module in (silver.refine, silver.id_gaps):
        monkeypatch.setattr(module, "fault_point", cut_at(point))
    with pytest.raises(Cut):
        bronze.carry(frames)
    monkeypatch.undo()
    bronze.refine = Refine(bronze.lake)
    bronze.refine.drain()
    return bronze


def test_what_waited_in_memory_is_told_by_the_tables_after_a_crash(
    bronze: Bronze, monkeypatch: pytest.MonkeyPatch
) -> None:
    bronze.carry(trades([1, 2, 5, 8], 0))
    crash(bronze, monkeypatch, "after_silver_commit", [*trades([10], 4), fill([3, 4], 4)])
    assert gaps(bronze) == []
    # Both holes were shown before the crash; only their trades' times of reception tell since when.
    crash(bronze, monkeypatch, "after_found_gaps_commit", trades([11], 5))
    assert gaps(bronze) == [("BTC-USDT", 6, 7, "open")]
    assert bronze.trades("trade_id")[-1] == (11,)
    crash(bronze, monkeypatch, "after_silver_commit", [fill([6, 7], 6), *trades([12], 9)])
    assert gaps(bronze) == [("BTC-USDT", 6, 7, "closed"), ("BTC-USDT", 9, 9, "open")]
    versions = bronze.versions()
    bronze.refine = Refine(bronze.lake)
    assert bronze.refine.drain() == 0
    crash(bronze, monkeypatch, "after_closed_gaps_commit", [fill([9], 30)])
    assert gaps(bronze) == [("BTC-USDT", 6, 7, "closed"), ("BTC-USDT", 9, 9, "closed")]
    assert bronze.lake.version(GAPS) == versions[0] + 1


def test_what_the_venue_no_longer_has_is_unrecoverable_to_the_id_until_a_dump_brings_it(
    bronze: Bronze, monkeypatch: pytest.MonkeyPatch
) -> None:
    bronze.carry([*trades([1], 0), *trades([10], 1), *trades([11], 6)])
    assert gaps(bronze) == [("BTC-USDT", 2, 9, "open")]
    old_form = lost(2, 9, channel="control")
    bad = [lost(5, 4), binance(b'{"kind":"unrecoverable","symbol":"?","from_id":1,"to_id":2}', channel="gap")]
    crash(bronze, monkeypatch, "after_found_gaps_commit", [lost(3, 5), old_form, *bad, fill([9], 7)])
    assert gaps(bronze) == [
        ("BTC-USDT", 2, 2, "open"), ("BTC-USDT", 3, 5, "unrecoverable"), ("BTC-USDT", 6, 9, "open")
    ]  # fmt: skip
    refused = [reasons for _, reasons in sorted(bronze.quarantined().items())]
    assert refused == [{"unknown_value:to_id"}, {"unknown_symbol"}]
    bronze.carry([lost(1, 3), fill([2, 6, 7, 8], 8)])
    versions = bronze.versions()
    bronze.carry([lost(3, 5)])
    assert bronze.versions() == versions
    bronze.carry([fill([3, 4], 9)])
    assert [row[3] for row in gaps(bronze)] == ["closed", "unrecoverable", "closed"]
    bronze.carry([fill([5], 10)])
    assert {row[3] for row in gaps(bronze)} == {"closed"}
    assert bronze.rows(TRADES, "trade_id") == [(n,) for n in range(1, 12)]


def test_reordering_within_and_across_batches_opens_no_row(bronze: Bronze) -> None:
    ids = list(range(1, 401))
    for place in range(9, 399, 20):
        ids[place], ids[place + 1] = ids[place + 1], ids[place]
    for start in (0, 190):
        bronze.carry([frame for n in ids[start : 190 if start == 0 else 400] for frame in trades([n], n / 100)])
    bronze.refine.on_timer(RECEIVED_US / S + 100)
    assert bronze.lake.version(GAPS) == 0
    assert len(bronze.trades("trade_id")) == 400


def dump(*lines: str, **headers: object) -> Frame:
    text = "\n".join(lines).encode() + b"\n"
    given = {"channel": "trade_dump", "key": "BTCUSDT", "session_id": "ab" * 32, "sequence": 1, "origin": "backfill"}
    return binance(text, **{**given, "received_us": RECEIVED_US + 9 * S, **headers})


def line(number: int, price: str = "61837.63", time: int = MS * 1000 + 7, maker: str = "True") -> str:
    return f"{number},{price},0.02,1.00,{time},{maker},True"


def test_a_dump_over_the_same_stream_adds_only_the_missing_ids(bronze: Bronze) -> None:
    bronze.carry([*trades([1, 2, 5], 0), *trades([6], 9)])
    assert gaps(bronze) == [("BTC-USDT", 3, 4, "open")]
    header = "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match"
    first = dump(header, *(line(n) for n in range(1, 5)), sequence=0)
    refined = bronze.carry([first, dump(line(5, "61837.64"), line(6, maker="False"), line(2, time=MS))])
    # In microseconds or not, the same trade; another price or side is none.
    assert refined.counts["trades"] == 2
    assert refined.counts["copies"] == 3
    assert set(bronze.quarantined()) == {(5, 0), (5, 1)}
    assert bronze.trades("trade_id", "row", "origin") == [
        (1, 0, "stream"), (2, 0, "stream"), (3, 3, "backfill"), (4, 4, "backfill"), (5, 0, "stream"), (6, 0, "stream")
    ]  # fmt: skip
    assert gaps(bronze) == [("BTC-USDT", 3, 4, "closed")]


def test_rows_of_filled_gaps_are_closed_together_every_half_minute(new_bronze: Callable[[str], Bronze]) -> None:
    bronze, now_s = new_bronze("one"), [1_000.0]
    bronze.refine = Refine(bronze.lake, lambda: now_s[0])
    bronze.carry([*trades([1, 3, 5, 7], 0), *trades([8], 6)])
    opened = {("BTC-USDT", n, n, "open") for n in (2, 4, 6)}
    assert set(gaps(bronze)) == opened
    bronze.carry([fill([2], 20)])  # the first one does not wait
    now_s[0] += 29
    bronze.carry([fill([4], 21)])
    assert [row[3] for row in gaps(bronze)] == ["closed", "open", "open"]
    now_s[0] += 1
    bronze.carry([fill([6], 22)])
    assert [row[3] for row in gaps(bronze)] == ["closed"] * 3
    bronze.carry([*trades([10], 30), *trades([11], 40)])
    bronze.carry([fill([9], 41)])
    assert gaps(bronze)[-1] == ("BTC-USDT", 9, 9, "open")
    now_s[0] += 30
    bronze.refine.on_timer(RECEIVED_US / S + 50)  # nothing comes any more
    assert gaps(bronze)[-1] == ("BTC-USDT", 9, 9, "closed")


def test_a_filled_gap_is_closed_at_the_end_of_a_run(new_bronze: Callable[[str], Bronze]) -> None:
    bronze = new_bronze("one")
    bronze.refine = Refine(bronze.lake, lambda: 0)
    bronze.carry([*trades([1, 3, 5], 0), *trades([6], 6)])
    bronze.carry([fill([2], 20)])
    bronze.carry([fill([4], 21)])
    assert [row[3] for row in gaps(bronze)] == ["closed", "open"]
    bronze.refine.close_gaps()
    assert [row[3] for row in gaps(bronze)] == ["closed", "closed"]
