"""The audit of what a replay of the quarantine has said: true outcomes pass, and none can be forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lake_by_hand import START_US, HandLake, Row, binance_frame

from cryptolake.audit.quarantine import RULE_VERSION
from cryptolake.audit.result import CheckResult
from cryptolake.audit.run import audit
from lakehouse.settings import load_settings
from silver import quality
from silver.replay import OUTCOMES
from silver.tables import QUARANTINE, TRADES


def results_of(lake: HandLake) -> dict[str, CheckResult]:
    lake.aggregate()
    lake.write()
    return {result.name: result for result in audit(load_settings(home=lake.home))}


def failed(lake: HandLake) -> dict[str, str]:
    return {name: " | ".join(r.examples) for name, r in results_of(lake).items() if not r.passed}


def said(row: Row, outcome: str | None) -> Row:
    row.update(outcome=outcome, replayed_at=row["first_seen"], replay_rule_version=RULE_VERSION)
    return row


@pytest.fixture
def lake(tmp_path: Path) -> HandLake:
    """A replayed quarantine with every outcome there is."""
    lake = HandLake(tmp_path / "home")
    lake.trade(1, "1.5", "2", START_US)
    replayed = lake.frame(binance_frame(2, "2.5", "1", START_US))
    lake.silver_trade(replayed, "BTCUSDT", "2", 2, "buy", "2.5", "1", START_US)
    said(lake.quarantine(replayed, "unknown_symbol"), "silver")
    said(lake.quarantine(lake.frame(binance_frame(2, "2.5", "1", START_US)), "unknown_symbol"), "copy")
    said(lake.quarantine(lake.frame(binance_frame(2, "9", "1", START_US)), "unknown_symbol"), "conflict")
    said(lake.quarantine(lake.frame("garbage"), "invalid_json"), "rejected")
    row: dict[str, Any] = {"price": "4", "qty": "1", "time": START_US // 1000, "isBuyerMaker": False}
    body = json.dumps([{"id": 10, **row}, {"id": 11, **row, "price": "-1"}])
    frame = lake.frame(body, key="BTCUSDT")
    lake.silver_trade(frame, "BTCUSDT", "10", 10, "buy", "4", "1", START_US)
    said(lake.quarantine(frame, "unknown_venue"), "split")
    lake.quarantine(frame, "non_positive:price", row=1)
    said(lake.quarantine(lake.frame("[]"), "unknown_venue"), "empty")
    return lake


def row_of(lake: HandLake, outcome: str) -> Row:
    return next(row for row in lake.rows[QUARANTINE.name] if row.get("outcome") == outcome)


def test_true_outcomes_pass_and_what_is_dealt_with_is_no_more_counted(lake: HandLake) -> None:
    assert {row.get("outcome") for row in lake.rows[QUARANTINE.name]} == {*OUTCOMES, None}
    results = results_of(lake)
    assert all(result.passed for result in results.values())
    assert results["silver.quarantine outcomes"].counted == 6
    assert "1 conflicting copies in quarantine" in results["silver.trades complete"].note
    assert "1 further copies" in results["silver.trades complete"].note
    assert quality.RULE_VERSION == RULE_VERSION


@pytest.mark.parametrize(
    ("true", "forged", "check"),
    [
        ("silver", "copy", "silver.trades complete"),
        ("silver", None, "silver.trades complete"),
        ("silver", "rejected", "silver.trades complete"),
        ("copy", "silver", "silver.trades complete"),
        ("conflict", "silver", "silver.trades complete"),
        ("conflict", "copy", "silver.trades complete"),
        ("rejected", "silver", "silver.quarantine complete"),
        ("rejected", "copy", "silver.quarantine complete"),
        ("rejected", "split", "silver.quarantine complete"),
        ("rejected", "empty", "silver.quarantine complete"),
        ("rejected", "conflict", "silver.quarantine outcomes"),
        ("rejected", "done", "silver.quarantine outcomes"),
    ],
)
def test_a_forged_outcome(lake: HandLake, true: str, forged: str | None, check: str) -> None:
    said(row_of(lake, true), forged)
    assert check in failed(lake)


def test_a_replayed_row_that_silver_lost_again(lake: HandLake) -> None:
    lake.trades.pop(1)
    assert "said to have put it there" in failed(lake)["silver.trades complete"]


def test_the_bad_row_of_a_split_frame_must_be_quarantined_for_itself(lake: HandLake) -> None:
    lake.rows[QUARANTINE.name].remove(next(row for row in lake.rows[QUARANTINE.name] if row["row"] == 1))
    assert "silver.quarantine complete" in failed(lake)


def test_what_was_right_to_quarantine_and_is_good_by_now_waits_for_a_replay(tmp_path: Path) -> None:
    lake = HandLake(tmp_path)
    lake.quarantine(lake.frame(binance_frame(2, "2.5", "1", START_US)), "unknown_symbol")
    row = lake.quarantine(lake.frame(binance_frame(3, "2.5", "1", START_US)), "precision_exceeded")
    row["rule_version"] = "0"
    body = [{"id": 10, "price": "4", "qty": "1", "time": START_US // 1000, "isBuyerMaker": False}]
    lake.quarantine(lake.frame(json.dumps(body), key="BTCUSDT"), "unknown_venue")
    results = results_of(lake)
    assert all(result.passed for result in results.values())
    assert "3 in quarantine and good by now" in results["silver.trades complete"].note
    row["rule_version"] = RULE_VERSION
    again = HandLake(tmp_path / "again")
    again.rows = lake.rows
    assert "a good row is in quarantine as precision_exceeded" in failed(again)["silver.trades complete"]


def test_a_replay_that_was_cut_off_is_noted_until_it_is_finished(lake: HandLake) -> None:
    said(row_of(lake, "silver"), None)
    lake.aggregate()
    lake.write()
    quarantine_id = lake.table_id(QUARANTINE)
    lake.append(TRADES, [], (f"{TRADES.name}/replay/{quarantine_id}", 7))
    results = {result.name: result for result in audit(load_settings(home=lake.home))}
    assert all(result.passed for result in results.values())
    assert "1 of a replay that is not finished" in results["silver.trades complete"].note
    lake.append(QUARANTINE, [], (f"{QUARANTINE.name}/replay/{quarantine_id}", 7))
    results = {result.name: result for result in audit(load_settings(home=lake.home))}
    assert not results["silver.trades complete"].passed
