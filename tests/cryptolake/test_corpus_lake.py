"""The corpus in good traffic on real tables: every case where its file says, and the audit agrees."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from corpus.cases import CASES, Case
from corpus.wanted import TABLES, Content, type_of, wanted
from deltalake import DeltaTable
from experiments import Experiment
from lake_by_hand import START_US, HandLake, binance_frame, time_of
from pyspark.sql.types import TimestampType

from bronze.frames import oversize_marker
from bronze.tables import FRAMES
from bronze.tables import TABLES as BRONZE
from cryptolake.audit.run import audit
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from lakehouse.table import Table
from silver.quality import MAX_FRAME_BYTES, RULE_VERSION
from silver.refine import Refine
from silver.tables import GAPS, QUARANTINE
from silver.tables import TABLES as SILVER

GOOD_PER_CASE = 50
FIRST_GOOD_ID = 50_000_000
LOST = "lost-ids"  # a folder whose rows have no place of their own in silver.gaps


@pytest.mark.experiment(
    24,
    25,
    fault="every frame of the malformed corpus, one in fifty good ones; nesting, giant numbers and names among them",
    holds="I1 I7: each case is in the table, the row and with the reasons that its file says, the good are in silver",
)
@pytest.mark.timeout(900)  # some dozen Spark jobs; seconds on an idle machine
def test_in_good_traffic_every_case_is_where_it_must_be_and_the_audit_agrees(
    lake: Lake, experiment: Experiment
) -> None:
    lake.create(*BRONZE, *SILVER)
    hand = HandLake(lake.settings.home)
    places: dict[tuple[str, int], Case] = {}
    good: dict[int, dict[str, Any]] = {}
    for case in CASES:
        for _ in range(GOOD_PER_CASE):
            _land_good(hand, good)
        landed = _land(hand, case)
        places[landed["topic_id"], landed["offset"]] = case
    hand.append(FRAMES, hand.frames)
    Refine(lake).drain()

    expected = {(*place, row.table, row.row): wanted(row) for place, case in places.items() for row in case.out}
    lost = {
        key: expected.pop(key) for key in list(expected) if places[key[:2]].source.name == LOST and key[2] == "gaps"
    }
    found: dict[tuple[str, int, str, int], Content] = {}
    for table in {row.table for case in CASES for row in case.out}:
        for stored in _stored(hand, TABLES[table]):
            place = (stored["topic_id"], stored["offset"])
            if place in places:
                key = (*place, table, stored["row"])
                assert key not in found, places[place].name
                found[key] = _content(stored, table, expected.get(key))
            elif table == "trades":
                kept = good.pop(stored["trade_id"])
                assert {name: stored[name] for name in kept} == kept
            else:
                # The ids of the corpus are far apart: between them gaps are opened, which the audit checks.
                assert table == "gaps", stored
                assert stored["from_id"] is not None
    gaps = [(row["symbol"], row["from_id"], row["to_id"], row["status"]) for row in _stored(hand, GAPS)]
    for key, row in lost.items():
        assert isinstance(row, Mapping)
        assert (row["symbol"], row["from_id"], row["to_id"], "unrecoverable") in gaps, places[key[:2]].name
    for key in expected.keys() | found.keys():
        assert found.get(key) == expected.get(key), places[key[:2]].name
    assert good == {}
    _assert_bytes_are_kept(hand)
    experiment.done(len(CASES))
    experiment.note(f"{len(hand.frames):,} frames")
    results = audit(lake.settings, None)
    assert {result.name: result.examples for result in results if not result.passed} == {}
    assert {result.counted for result in results if result.name == "bronze.frames read"} == {len(hand.frames)}


def _land(hand: HandLake, case: Case) -> dict[str, Any]:
    frame = dict(vars(case.frame))
    del frame["symbols"]  # no part of what is landed
    if case.is_huge:  # comes as the marker that the collector makes of it
        assert len(frame["payload"]) > MAX_FRAME_BYTES
        frame["payload"] = oversize_marker(frame["payload"], load_settings().collector.oversize_head_bytes)
        frame["channel"] = "oversize"
    received_us = frame.pop("received_us")
    landed = hand.frame(**frame, received_us=START_US if received_us is None else received_us)
    if received_us is None:
        landed["received_at"] = None
    return landed


def _land_good(hand: HandLake, good: dict[int, dict[str, Any]]) -> None:
    number = FIRST_GOOD_ID + len(good)
    us, price, side = START_US + number % 600_000 * 1000, f"{number % 9973 + 1}.{number % 100:02}", "buy"
    hand.frame(binance_frame(number, price, "0.5", us, side))
    good[number] = {"symbol": "BTC-USDT", "side": side, "price": Decimal(price), "quantity": Decimal("0.5")}
    good[number] |= {"event_time": time_of(us), "rescued": None}


def _stored(hand: HandLake, table: Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = DeltaTable(str(hand.path(table))).to_pyarrow_table().to_pylist()
    return rows


def _content(stored: dict[str, Any], table: str, expected: Content | None) -> Content:
    if table == "quarantine":
        assert stored["rule_version"] == RULE_VERSION
        return frozenset(stored["reasons"])
    names = expected if isinstance(expected, Mapping) else TABLES[table].columns
    epoch, us = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(microseconds=1)
    times = {name for name in names if isinstance(type_of(table, name), TimestampType) and stored[name]}
    return {name: (stored[name] - epoch) // us if name in times else stored[name] for name in names}


def _assert_bytes_are_kept(hand: HandLake) -> None:
    landed = {(frame["topic_id"], frame["offset"]): frame["payload"] for frame in hand.frames}
    stored = _stored(hand, QUARANTINE)
    assert len(stored) > 250
    assert all(row["payload"] == landed[row["topic_id"], row["offset"]] for row in stored)
