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
            "id": trade["trade_key"] if trade["venue"].startswith("bybit") else trade["trade_id"],
            "price": f"{trade['price']:f}",
            "quantity": f"{trade['quantity']:f}",
            "side": trade["side"],
            "event_time_us": us_of(trade["event_time"]),
            "fault": None,
        }
        for trade in lake.trades
    ]


def checked(lake: HandLake, lines: list[dict[str, object]]) -> tuple[CheckResult, CheckResult]:
    results = results_of(lake, lines)
    return results["ledger binance"], results["ledger coincap"]


def bybit_checked(lake: HandLake, lines: list[dict[str, object]]) -> CheckResult:
    return results_of(lake, lines)["ledger bybit"]


def results_of(lake: HandLake, lines: list[dict[str, object]]) -> dict[str, CheckResult]:
    lake.aggregate()
    lake.write()
    ledger = lake.home.parent / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"venue":"bin', encoding="utf-8")
    results = {result.name: result for result in audit(load_settings(home=lake.home), ledger)}
    assert all(result.passed for name, result in results.items() if not name.startswith("ledger"))
    return results


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


@pytest.fixture
def bybit(lake: HandLake) -> HandLake:
    """The same, and a minute of Bybit: every two seconds two fills of one match, with a gap of its symbol."""
    for number in range(0, 60, 2):
        lake.bybit(f"a{number}", f"b{number}", seq=7000 + number, us=START_US + number * SECOND_US)
    lake.gap(START_US + 20 * SECOND_US, START_US + 26 * SECOND_US, "bybit-spot", "ETHUSDT")
    return lake


def test_bybit_trades_are_told_by_their_keys(bybit: HandLake) -> None:
    lines = ledger_of(bybit)
    result = bybit_checked(bybit, lines)
    assert (result.passed, result.counted, result.note) == (True, 60, "")
    other = [{**line, "id": "c40"} if line["id"] == "a40" else line for line in lines]
    result = bybit_checked(again(bybit), other)
    assert result.failures == 2
    assert "a40" in result.examples[0] + result.examples[1]
    cheaper = [{**line, "price": "2.4"} if line["id"] == "a40" else line for line in lines]
    assert bybit_checked(again(bybit, "third"), cheaper).failures == 2


def test_bybit_loss_inside_a_gap_of_its_symbol_passes_and_elsewhere_fails(bybit: HandLake) -> None:
    lines = ledger_of(bybit)
    lose(bybit, "a0")  # takes its frame, both fills of the match
    bybit.trades[:] = [trade for trade in bybit.trades if trade["trade_key"] != "b0"]
    for second in (22, 26):
        lose(bybit, f"a{second}")
        bybit.trades[:] = [trade for trade in bybit.trades if trade["trade_key"] != f"b{second}"]
    result = bybit_checked(bybit, lines)
    assert result.passed
    assert result.note == "2 before the first frame heard; 4 lost in recorded disconnects"
    lose(bybit, "a40")
    bybit.trades[:] = [trade for trade in bybit.trades if trade["trade_key"] != "b40"]
    result = bybit_checked(again(bybit), lines)
    assert result.failures == 2
    assert "lost outside of every recorded disconnect" in result.examples[0]
    # A gap of one symbol excuses no other.
    strange = [{**lines[-1], "symbol": "BTCUSDT", "id": "x", "event_time_us": START_US + 23 * SECOND_US}]
    assert "before the first one heard of their symbol" in bybit_checked(again(bybit, "third"), lines + strange).note


def test_a_bybit_trade_that_is_there_twice(bybit: HandLake) -> None:
    lines = ledger_of(bybit)
    copy = bybit.bybit("a40", seq=7040, us=START_US + 40 * SECOND_US, sequence=900)
    bybit.aggregate()
    bybit.write()
    ledger = bybit.home.parent / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    results = {result.name: result for result in audit(load_settings(home=bybit.home), ledger)}
    assert copy[0]["trade_key"] in results["silver.trades keys"].examples[0]
    assert "1 more in silver than in the ledger" in results["ledger bybit"].examples[0]


def test_a_file_that_is_no_ledger(lake: HandLake) -> None:
    lake.aggregate()
    lake.write()
    ledger = lake.home.parent / "no-ledger.jsonl"
    ledger.write_text('{"venue":"binance"}\n', encoding="utf-8")
    with pytest.raises(CryptolakeError, match=r"Line 1 of .*no-ledger"):
        audit(load_settings(home=lake.home), ledger)
    with pytest.raises(CryptolakeError, match="cannot be read"):
        audit(load_settings(home=lake.home), ledger.with_name("none"))
