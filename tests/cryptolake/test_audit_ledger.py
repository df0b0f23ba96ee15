"""Silver against the simulator's ledger: what is lost outside a disconnect is found."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from lake_by_hand import START_US, HandLake, us_of

from cryptolake.audit.result import CheckResult
from cryptolake.audit.run import audit
from lakehouse.errors import CryptolakeError
from lakehouse.settings import load_settings

SECOND_US = 1_000_000


@pytest.fixture
def lake(tmp_path: Path) -> HandLake:
    """A minute of Binance, a second apart, and of CoinCap, two seconds apart, with a disconnect from 20 s to 30 s."""
    lake = HandLake(tmp_path / "home")
    for number in range(60):
        lake.trade(1000 + number, f"6000{number % 7}.5", "0.25", START_US + number * SECOND_US, sequence=number)
    for number in range(0, 60, 2):
        us = START_US + number * SECOND_US
        lake.coincap("1.25", "3", us, session_id="C1", sequence=number)
    lake.gap(START_US + 20 * SECOND_US, START_US + 30 * SECOND_US)
    return lake


def ledger_of(lake: HandLake) -> list[dict[str, object]]:
    return [
        {
            "venue": trade["venue"],
            "symbol": trade["venue_symbol"].replace("bitcoin-", "bitcoin/"),
            "id": trade["trade_id"],
            "price": f"{trade['price']:f}",
            "quantity": f"{trade['quantity']:f}",
            "side": trade["side"],
            "event_time_us": us_of(trade["event_time"]),
            "fault": None,
        }
        for trade in lake.trades
    ]


def checked(lake: HandLake, lines: list[dict[str, object]]) -> tuple[CheckResult, CheckResult]:
    lake.aggregate()
    lake.write()
    ledger = lake.home.parent / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"venue":"bin', encoding="utf-8")
    results = {result.name: result for result in audit(load_settings(home=lake.home), ledger)}
    assert all(result.passed for name, result in results.items() if not name.startswith("ledger"))
    return results["ledger binance"], results["ledger coincap"]


def lose(lake: HandLake, key: str) -> None:
    """Take a trade out of the lake as if it had never been received: its frame becomes a control frame."""
    trade = next(trade for trade in lake.trades if trade["trade_key"] == key)
    lake.trades.remove(trade)
    place = ("topic_id", "partition", "offset")
    frame = next(frame for frame in lake.frames if all(frame[name] == trade[name] for name in place))
    frame["channel"] = "control"


def test_an_equal_ledger_passes(lake: HandLake) -> None:
    binance, coincap = checked(lake, ledger_of(lake))
    assert (binance.passed, binance.counted, binance.note) == (True, 60, "")
    assert (coincap.passed, coincap.counted, coincap.note) == (True, 30, "")


def test_a_binance_trade_that_never_arrived(lake: HandLake) -> None:
    lines = ledger_of(lake)
    lose(lake, "1030")
    binance, _ = checked(lake, lines)
    assert binance.failures == 1
    assert "1030" in binance.examples[0]
    assert "in the ledger, not in silver" in binance.examples[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", "1.5"), ("quantity", "0.26"), ("side", "sell"), ("event_time_us", START_US + 1), ("symbol", "ETHUSDT")],
)
def test_a_field_that_differs_from_the_ledger(lake: HandLake, field: str, value: object) -> None:
    lines = ledger_of(lake)
    lines[30][field] = value
    binance, _ = checked(lake, lines)
    assert not binance.passed
    assert "1030" in " ".join(binance.examples)


def test_a_trade_that_the_venue_never_said(lake: HandLake) -> None:
    lines = ledger_of(lake)
    del lines[30]
    binance, _ = checked(lake, lines)
    assert "not in the ledger" in binance.examples[0]


def test_what_came_before_and_after_listening_is_noted(lake: HandLake) -> None:
    lines = ledger_of(lake)
    lose(lake, "1000")
    lose(lake, "1059")
    lose(lake, "C1:0:0")
    lose(lake, "C1:58:0")
    binance, coincap = checked(lake, lines)
    assert binance.passed
    assert binance.note == "1 before the first one heard of their symbol; 1 after the last frame heard"
    assert coincap.passed
    assert coincap.note == "1 before the first frame heard; 1 after the last frame heard"


def test_a_symbol_that_died_while_the_venue_went_on(lake: HandLake) -> None:
    lines = ledger_of(lake)
    lines += [{**line, "symbol": "ETHUSDT", "id": 1} for line in lines[10:11]]
    binance, _ = checked(lake, lines)
    assert binance.failures == 1  # ETHUSDT is collected, and nothing of it was heard
    unknown = [{**line, "symbol": "XYZUSDT"} for line in lines[-1:]]
    binance, _ = checked(again(lake), lines[:-1] + unknown)
    assert binance.note == "1 of symbols that are not collected"


def again(lake: HandLake, name: str = "again") -> HandLake:
    other = HandLake(lake.home.parent / name)
    other.rows = lake.rows
    return other


def test_while_a_collector_runs_the_last_minute_is_on_its_way(lake: HandLake) -> None:
    lines = ledger_of(lake)
    lose(lake, "1030")
    run = lake.home / "run"
    run.mkdir(parents=True)
    (run / "collector-binance.json").write_text(json.dumps({"pid": os.getpid()}))
    binance, _ = checked(lake, lines)
    assert binance.passed
    assert binance.note == "1 after the last frame heard"


def test_coincap_loss_inside_a_disconnect_passes(lake: HandLake) -> None:
    lines = ledger_of(lake)
    for second in (20, 24, 30, 32):  # 32 is within the slack
        lose(lake, f"C1:{second}:0")
    _, coincap = checked(lake, lines)
    assert coincap.passed
    assert coincap.note == "4 lost in recorded disconnects"


def test_coincap_loss_outside_a_disconnect_fails(lake: HandLake) -> None:
    lines = ledger_of(lake)
    lose(lake, "C1:40:0")
    _, coincap = checked(lake, lines)
    assert coincap.failures == 1
    assert "lost outside of every recorded disconnect" in coincap.examples[0]


def test_equal_coincap_trades_are_counted_each(lake: HandLake) -> None:
    us = START_US + 41 * SECOND_US
    lake.coincap("1.25", "3", us, session_id="C1", sequence=101)
    lake.coincap("1.25", "3", us, session_id="C1", sequence=102)
    lines = ledger_of(lake)
    _, coincap = checked(lake, lines)
    assert coincap.passed
    _, coincap = checked(again(lake), lines[:-1])
    assert "1 more in silver than in the ledger" in coincap.examples[0]
    lose(lake, "C1:102:0")
    _, coincap = checked(again(lake, "third"), lines)
    assert coincap.failures == 1


def test_what_a_stalled_venue_never_sent_is_noted(lake: HandLake) -> None:
    lines = ledger_of(lake)
    lose(lake, "C1:40:0")
    next(line for line in lines if line["event_time_us"] == START_US + 40 * SECOND_US and line["id"] is None)[
        "fault"
    ] = "stalled"
    _, coincap = checked(lake, lines)
    assert coincap.note == "1 never sent by the venue (stalled)"


def test_a_doubled_trade_is_not_exactly_once(lake: HandLake) -> None:
    lake.trades.append({**lake.trades[5], "price": Decimal("1")})
    lake.aggregate()
    lake.write()
    ledger = lake.home.parent / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in ledger_of(lake)[:-1]), encoding="utf-8")
    results = {result.name: result for result in audit(load_settings(home=lake.home), ledger)}
    assert "or more than once" in results["ledger binance"].examples[0]


def test_a_file_that_is_no_ledger(lake: HandLake) -> None:
    lake.aggregate()
    lake.write()
    ledger = lake.home.parent / "no-ledger.jsonl"
    ledger.write_text('{"venue":"binance"}\n', encoding="utf-8")
    with pytest.raises(CryptolakeError, match=r"Line 1 of .*no-ledger"):
        audit(load_settings(home=lake.home), ledger)
    with pytest.raises(CryptolakeError, match="cannot be read"):
        audit(load_settings(home=lake.home), ledger.with_name("none"))
