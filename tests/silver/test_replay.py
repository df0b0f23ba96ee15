"""The quarantine replayed on real Delta tables: what the rules of now accept goes to silver once."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from bronze_frames import WRITTEN, Bronze, create_tables
from crash_points import Cut
from experiments import Experiment
from made_frames import GOOD, KLINE, RECEIVED_US, binance, coincap, klines, rest, rest_row
from pyspark.sql import SparkSession

import silver.parse
import silver.quality
import silver.replay
from lakehouse.home import lake_folder
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings
from silver.replay import Replay
from silver.rows import Frame
from silver.selection import Selection
from silver.tables import CANDLES, GAPS, QUARANTINE
from silver.venues.registry import venue_named

ALL = Selection()


@pytest.fixture(scope="module")
def empty_tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = load_settings(home=tmp_path_factory.mktemp("empty"))
    create_tables(Lake(spark, settings))
    return lake_folder(settings)


@pytest.fixture
def bronze(spark: SparkSession, settings: Settings, empty_tables: Path) -> Bronze:
    shutil.copytree(empty_tables, lake_folder(settings))
    return Bronze(Lake(spark, settings))


@pytest.fixture
def mend(bronze: Bronze, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Know the symbol BTCXYZ and the venue binance-eu: the venue has listed it, and a new release reads it."""

    def do() -> None:
        bronze.carry([listing(("BTCXYZ", "BTC", "XYZ"))]).release()
        monkeypatch.setattr(silver.parse, "venue_named", lambda venue: venue_named(venue.removesuffix("-eu")))

    return do


def listing(*pairs: tuple[str, str, str]) -> Frame:
    rows = [dict(zip(("symbol", "baseAsset", "quoteAsset"), pair, strict=True)) for pair in pairs]
    return binance(json.dumps({"timezone": "UTC", "symbols": rows}).encode(), channel="symbols", key="exchangeInfo")


def trade(trade_id: int, symbol: str = "BTCUSDT", price: str = "1.5", **headers: Any) -> Frame:
    text = GOOD.decode().replace('"t":7', f'"t":{trade_id}').replace("61837.63000000", price)
    return binance(text.replace("BTCUSDT", symbol).encode(), **headers)


def replay(lake: Lake, selection: Selection = ALL) -> Counter[str]:
    total: Counter[str] = Counter()
    tool = Replay(lake)
    for group in tool.groups(selection):
        total += tool.run(group)
    return total


def outcomes(lake: Lake) -> dict[tuple[int, int], str | None]:
    rows = lake.rows_where(QUARANTINE, ()).to_pylist()
    assert len({(row["offset"], row["row"]) for row in rows}) == len(rows)
    return {(row["offset"], row["row"]): row["outcome"] for row in rows}


def cut_after(number: int) -> Callable[[str], None]:
    reached = iter(range(1, 100))

    def fault_point(_: str) -> None:
        if next(reached) == number:
            raise Cut

    return fault_point


@pytest.fixture
def everything(bronze: Bronze) -> Bronze:
    """What only a mended table of names or a new venue can help, beside what nothing can."""
    later = {"received_us": RECEIVED_US + 1}
    minute = klines(KLINE, venue="binance-eu")
    frames = [
        trade(1),  # 0
        trade(10, "BTCXYZ"),  # 1
        trade(10, "BTCXYZ", "1.50", **later),  # 2: a further copy of 1
        trade(10, "BTCXYZ", "9", **later),  # 3: contradicts 1
        trade(11, "BTCXYZ", "-1"),  # 4: breaks another rule, too
        trade(1, price="7.5"),  # 5: contradicts 0
        binance(b"garbage"),  # 6
        rest(rest_row(50), rest_row(51, price="-1"), venue="binance-eu"),  # 7: half of it is good
        rest(rest_row(60), rest_row(61), venue="binance-eu"),  # 8
        rest(venue="binance-eu"),  # 9: no row at all
        minute,  # 10
        replace_key(rest(rest_row(70), rest_row(71)), "BTCXYZ"),  # 11: two rows, each quarantined for itself
        coincap(coincap().payload.replace(b'"bitcoin"', b'"no-such-coin"')),  # 12
    ]
    refined = bronze.carry(frames)
    assert (refined.counts["trades"], refined.counts["quarantined"]) == (1, 13)
    refined.release()
    return bronze


def in_silver(bronze: Bronze) -> set[tuple[int, int]]:
    """The quarantined rows of which silver holds something."""
    trades = {(offset, row if offset == 11 else -1) for *_, offset, row in bronze.trades(*FIELDS) if offset}
    return trades | {(offset, -1) for (offset,) in bronze.rows(CANDLES, "offset")}


def replace_key(frame: Frame, key: str) -> Frame:
    return Frame(**{**vars(frame), "key": key})


OPEN = {*((number, -1) for number in (1, 2, 3, 4, 6, 7, 8, 9, 10, 12)), (5, 0), (11, 0), (11, 1)}
REPLAYED = {
    (1, -1): "silver", (2, -1): "copy", (3, -1): "conflict", (4, -1): "rejected", (5, 0): "conflict",
    (6, -1): "rejected", (7, -1): "split", (7, 1): None, (8, -1): "silver", (9, -1): "empty", (10, -1): "silver",
    (11, 0): "silver", (11, 1): "silver", (12, -1): "rejected",
}  # fmt: skip
SELECTED: list[tuple[Selection, list[int]]] = [
    (Selection(reason="unknown_symbol"), [1, 2, 3, 4, 11, 11, 12]),
    (Selection(reason="non_positive"), [4]),
    (Selection(reason="unknown_symbol", venue="coincap-bitso"), [12]),
    (Selection(venue="binance-eu"), [7, 8, 9, 10]),
    (Selection(rule_version="0"), []),
    (Selection(since_us=RECEIVED_US * 2), []),
    (Selection(until_us=RECEIVED_US), []),
    (Selection(since_us=RECEIVED_US, reason="invalid_json"), [6]),
    (Selection(reason="' OR 1 = 1 --"), []),
]
TRADED = [
    ("binance", "BTC-USDT", "1", Decimal("1.5"), 0, 0),
    ("binance", "BTC-XYZ", "10", Decimal("1.5"), 1, 0),
    ("binance", "BTC-XYZ", "70", Decimal(4), 11, 0),
    ("binance", "BTC-XYZ", "71", Decimal(4), 11, 1),
    ("binance-eu", "BTC-USDT", "50", Decimal(4), 7, 0),
    ("binance-eu", "BTC-USDT", "60", Decimal(4), 8, 0),
    ("binance-eu", "BTC-USDT", "61", Decimal(4), 8, 1),
]
FIELDS = ("venue", "symbol", "trade_key", "price", "offset", "row")


def test_what_is_good_now_goes_to_silver_once_and_the_rest_says_why_not(
    everything: Bronze, mend: Callable[[], None]
) -> None:
    lake = everything.lake
    for selection, offsets in SELECTED:
        (rows,) = list(Replay(lake).groups(selection)) or [[]]
        assert sorted(row["offset"] for row in rows) == offsets, selection
    assert outcomes(lake) == dict.fromkeys(OPEN)
    mend()
    told = replay(lake)
    assert told == {
        "silver": 5, "copy": 1, "conflict": 2, "rejected": 3, "split": 1, "empty": 1, "marked": 14
    }  # fmt: skip
    assert outcomes(lake) == REPLAYED
    assert everything.trades(*FIELDS) == TRADED
    # The ids between the replayed ones are missing, as refine would say.
    missing = lake.rows_where(GAPS, ()).filter(pc.is_valid(pc.field("from_id")))
    assert everything.rows(missing, "symbol", "from_id", "to_id", "status") == [("BTC-XYZ", 11, 69, "open")]
    assert everything.rows(CANDLES, "venue", "symbol", "offset") == [("binance-eu", "BTC-USDT", 10)]
    (apart,) = everything.found(QUARANTINE, offset=7, row=1)
    assert (apart["reasons"], apart["payload"]) == (["non_positive:price"], bytearray(everything.held[7][1].payload))
    (marked,) = everything.found(QUARANTINE, offset=1)
    assert marked["replayed_at"] >= marked["first_seen"]
    assert (marked["replay_rule_version"], marked["reasons"]) == (silver.quality.RULE_VERSION, ["unknown_symbol"])

    before = everything.versions()
    assert replay(lake) == {"conflict": 2, "rejected": 4, "marked": 1}  # the row set apart is told, once
    assert replay(lake) == {"conflict": 2, "rejected": 4}
    place = WRITTEN.index(QUARANTINE)
    before[place] += 1
    assert everything.versions() == before

    # Refine knows what the replay has written: a copy is a copy, a new id below the highest one is new.
    again = everything.carry([trade(1), rest(rest_row(2, price="1.5"), rest_row(1, price="1.5", qty="0.02"))])
    assert again.counts["trades"] == 1
    assert again.counts["copies"] == 2
    again.release()


@pytest.mark.experiment(
    28,
    fault="a replay of the quarantine cut off between any two of its writes",
    holds="I1 I2: the next replay finishes it, whatever it selects",
)
def test_a_replay_cut_off_anywhere_is_finished_by_the_next_one_whatever_it_selects(
    everything: Bronze, mend: Callable[[], None], monkeypatch: pytest.MonkeyPatch, experiment: Experiment
) -> None:
    mend()
    limits = everything.lake.settings.lake.model_copy(update={"replay_rows": 7})
    lake = Lake(everything.lake.spark, everything.lake.settings.model_copy(update={"lake": limits}))
    cuts = 0
    for point in (1, 2, 3):  # after the first write to silver, the next one or the marks, ...
        monkeypatch.setattr(silver.replay, "fault_point", cut_after(point))
        try:
            replay(lake)
        except Cut:
            cuts += 1
        monkeypatch.setattr(silver.replay, "fault_point", lambda _: None)
        held, told = in_silver(everything), outcomes(lake)
        assert Replay(lake).unfinished() == any(told[place] is None for place in held)
        replay(lake, Selection(reason="none such"))
        assert not Replay(lake).unfinished()
        told = outcomes(lake)
        assert all(told[place] is not None for place in held)
    assert cuts >= 2
    experiment.done(cuts)
    replay(lake)
    assert outcomes(lake) | {(7, 1): None} == REPLAYED
    assert everything.trades(*FIELDS) == TRADED
