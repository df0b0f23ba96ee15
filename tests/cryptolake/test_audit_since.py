"""The audit of what came since a moment: what it proves, what it reads, and what it says it did not look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from growing_lake import BLOCK_US, PER_BLOCK, GrowingLake, landed_us
from lake_by_hand import MINUTE_US, START_US, Row, binance_frame, candle, time_of
from rich.console import Console

from bronze.tables import FRAMES
from cryptolake.audit.console import print_json, print_report
from cryptolake.audit.pinned_table import PinnedTable
from cryptolake.audit.reach import Since
from cryptolake.audit.report import Report
from cryptolake.audit.result import CheckResult
from cryptolake.audit.run import audit
from lakehouse.errors import CryptolakeError
from lakehouse.settings import load_settings
from silver.tables import (
    CANDLES,
    FIVE_MINUTE_BARS,
    GAPS,
    ONE_MINUTE_BARS,
    QUARANTINE,
    SIX_MINUTE_TRENDS,
    TRADES,
)

OLD = (FRAMES, TRADES, QUARANTINE, ONE_MINUTE_BARS, FIVE_MINUTE_BARS, SIX_MINUTE_TRENDS)


@pytest.fixture
def lake(tmp_path: Path) -> GrowingLake:
    """Two blocks that were landed long ago."""
    lake = GrowingLake(tmp_path / "home")
    for _ in range(2):
        lake.grow()
        lake.commit()
    return lake


def newest(lake: GrowingLake) -> Report:
    """Audit the newest block."""
    return audit(load_settings(home=lake.home), since=Since(landed_us(lake.blocks - 1)))


def by_name(report: Report) -> dict[str, CheckResult]:
    return {check.name: check for check in report}


def failed(report: Report) -> dict[str, str]:
    return {check.name: " | ".join(check.examples) for check in report.failed}


def test_only_what_came_is_counted_and_the_rest_is_named(lake: GrowingLake) -> None:
    lake.grow()
    lake.commit()
    report = newest(lake)
    assert failed(report) == {}
    checks = by_name(report)
    assert checks["bronze.frames read"].counted == report.frames == PER_BLOCK + PER_BLOCK // 3 + 1
    assert checks["bronze.frames offsets"].counted == report.frames
    assert checks["silver.trades complete"].counted == PER_BLOCK + PER_BLOCK // 3
    assert checks["silver.trades fields"].counted == PER_BLOCK + PER_BLOCK // 3
    assert checks["silver.quarantine complete"].counted == 1
    assert checks["silver.one_minute_bars values"].counted == 10  # five minutes of two venues
    assert checks["silver.five_minute_bars values"].counted == 2
    assert checks["silver.six_minute_trends values"].counted == 10
    assert checks["bronze.frames batches"].counted == 1
    out = StringIO()
    assert print_report(report, Console(file=out, width=150)) == 0
    text = out.getvalue()
    assert "Audit of what came since 2024-08-09 00:15:10 UTC" in text
    assert "Not looked at: frames landed before 2024-08-09 00:15:10 UTC" in text
    assert text.rstrip().endswith("checks passed for what came since 2024-08-09 00:15:10 UTC.")
    whole = audit(load_settings(home=lake.home))
    assert [check.name for check in whole] == [check.name for check in report]
    assert whole.not_looked_at() == []
    assert failed(whole) == {}


def test_when_nothing_came_it_says_so(lake: GrowingLake) -> None:
    report = audit(load_settings(home=lake.home), since=Since(landed_us(9)))
    out = StringIO()
    assert print_report(report, Console(file=out, width=150)) == 0
    assert {check.counted for check in report} == {0}
    assert "; nothing came." in out.getvalue()


def test_files_of_before_are_not_opened(lake: GrowingLake) -> None:
    """The block before the newest is next to it, and read for its last ids and offsets; the one before that is not."""
    old = {table.name: lake.files(table) for table in OLD}
    lake.grow()
    lake.commit()
    before_us = landed_us(2)
    lake.grow()
    lake.commit()
    for files in old.values():
        for file in files:
            file.write_bytes(b"PAR1 and no more")
    assert failed(newest(lake)) == {}
    assert failed(audit(load_settings(home=lake.home), since=Since(before_us + 1))) == {}
    with pytest.raises(CryptolakeError, match="cannot be read"):
        audit(load_settings(home=lake.home))


def test_a_defect_of_before_is_not_seen_and_not_denied(lake: GrowingLake) -> None:
    lake.grow()
    lake.trades.remove(next(trade for trade in lake.trades if trade["trade_id"] == 1000 + 2 * PER_BLOCK + 7))
    lake.aggregate()
    lake.commit()
    assert "silver.trades complete" in failed(newest(lake))
    lake.grow()
    lake.commit()
    report = newest(lake)
    assert failed(report) == {}
    assert any(text.startswith("frames landed before") for text in report.not_looked_at())
    assert "silver.trades complete" in failed(audit(load_settings(home=lake.home)))


def trade_of(lake: GrowingLake, number: int) -> Row:
    return next(t for t in lake.trades if t["trade_id"] == 1000 + (lake.blocks - 1) * PER_BLOCK + number)


def change(column: str, by: Callable[[Any], Any]) -> Callable[[GrowingLake], None]:
    def changed(lake: GrowingLake) -> None:
        trade = trade_of(lake, 20)
        trade[column] = by(trade[column])
        lake.aggregate()

    return changed


def lose(lake: GrowingLake) -> None:
    lake.trades.remove(trade_of(lake, 20))
    lake.aggregate()


def double(lake: GrowingLake) -> None:
    lake.trades.append(dict(trade_of(lake, 20)))


def double_of_before(lake: GrowingLake) -> None:
    """A trade of the block before came again, at the same microsecond, and went to silver a second time."""
    first = next(t for t in lake.trades if t["trade_id"] == 1000 + PER_BLOCK + 5)
    us = START_US + BLOCK_US + 25_000_000
    received = landed_us(lake.blocks - 1)
    lake.trade(first["trade_id"], f"{first['price']:f}", "0.25", us, sequence=5, received_us=received)
    lake.aggregate()


def from_nowhere(lake: GrowingLake) -> None:
    frame = {**lake.frames[-1], "topic": "binance.trade", "offset": 99_999}
    lake.silver_trade(frame, "BTCUSDT", "7", 7, "buy", "1", "1", START_US + 2 * BLOCK_US)
    lake.aggregate()


def bad_row_vanished(lake: GrowingLake) -> None:
    lake.rows[QUARANTINE.name].pop()


def other_bytes(lake: GrowingLake) -> None:
    lake.rows[QUARANTINE.name][-1]["payload"] = b"other"


def altered_bar(lake: GrowingLake) -> None:
    lake.bars[-1]["volume"] += Decimal("0.00000001")


def lost_bar(lake: GrowingLake) -> None:
    lake.bars.pop()


def altered_window(lake: GrowingLake) -> None:
    lake.windows[-1]["close"] += 1


def altered_trend(lake: GrowingLake) -> None:
    lake.trends[-1]["minutes_present"] += 1


def lost_frame(lake: GrowingLake) -> None:
    """The first frame that should have come of a partition is not there: only the block before tells."""
    first = next(f for f in lake.frames if f["received_at"] == time_of(landed_us(lake.blocks - 1)))
    lake.frames.remove(first)
    place = ("topic_id", "partition", "offset")
    lake.trades.remove(next(t for t in lake.trades if all(t[name] == first[name] for name in place)))
    lake.aggregate()


def topic_anew(lake: GrowingLake) -> None:
    received = landed_us(lake.blocks - 1)
    us = START_US + (lake.blocks - 1) * BLOCK_US
    lake.trade(9000, "60000", "1", us, topic_id="another-id", offset=0, received_us=received)
    lake.id_gap(1000 + lake.blocks * PER_BLOCK, 8999)
    lake.aggregate()


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        (change("price", lambda v: v + Decimal("0.000000000001")), "silver.trades fields"),
        (change("side", lambda v: "sell"), "silver.trades fields"),
        (change("event_time", lambda v: v.replace(microsecond=1)), "silver.trades fields"),
        (change("event_time", lambda v: v.replace(year=2023)), "silver.trades fields"),
        (change("symbol", lambda v: "BTCU-SDT"), "silver symbols"),
        (lose, "silver.trades complete"),
        (double, "silver.trades keys"),
        (double_of_before, "silver.trades keys"),
        (from_nowhere, "silver.trades sources"),
        (bad_row_vanished, "silver.quarantine complete"),
        (other_bytes, "silver.quarantine bytes"),
        (altered_bar, "silver.one_minute_bars values"),
        (lost_bar, "silver.one_minute_bars values"),
        (altered_window, "silver.five_minute_bars values"),
        (altered_trend, "silver.six_minute_trends values"),
        (lost_frame, "bronze.frames offsets"),
        (topic_anew, "bronze.frames topic ids"),
    ],
)
def test_a_defect_in_what_came(lake: GrowingLake, defect: Callable[[GrowingLake], None], check: str) -> None:
    lake.grow()
    defect(lake)
    lake.commit()
    assert check in failed(newest(lake))


def test_a_copy_of_what_came_before_is_a_copy(lake: GrowingLake) -> None:
    """Also one whose time differs by more than a second: ids are looked for in all of silver before one is lost."""
    lake.grow()
    received = landed_us(lake.blocks - 1)
    for number, off_us in ((5, 0), (40, 70_000_000)):
        first = next(t for t in lake.trades if t["trade_id"] == 1000 + number)
        us = START_US + number * 5_000_000 + off_us
        lake.frame(binance_frame(1000 + number, f"{first['price']:f}", "0.25", us), received_us=received)
    lake.frame(binance_frame(1007, "1.5", "0.25", START_US + 60_000_000), received_us=received)  # a conflict
    lake.commit()
    report = newest(lake)
    assert list(failed(report)) == ["silver.trades complete", "bronze.frames batches"]
    complete = by_name(report)["silver.trades complete"]
    assert "2 further copies" in complete.note
    assert complete.failures == 1
    assert "conflicts with the row in silver" in complete.examples[0]


def test_a_late_trade_is_in_its_bar(lake: GrowingLake) -> None:
    """A trade of the first block came with the third: its minute, five minutes and trends are looked at again."""
    lake.grow()
    us = START_US + 2 * MINUTE_US + 500_000
    lake.trade(500, "99999", "3", us, received_us=landed_us(2), sequence=1)
    lake.id_gap(501, 999)
    lake.commit()  # bars as they were before it
    found = failed(newest(lake))
    assert {"silver.one_minute_bars values"} <= set(found)
    assert "binance BTC-USDT 2024-08-09 00:02: high is" in found["silver.one_minute_bars values"]
    lake.aggregate()
    again = GrowingLake(lake.home.parent / "corrected")
    again.rows, again.blocks = lake.rows, lake.blocks
    for bar in again.bars[:2]:
        bar["revised_at"] = time_of(landed_us(2) + 30_000_000)
    again.commit()
    report = newest(again)
    assert failed(report) == {}
    assert by_name(report)["silver.one_minute_bars values"].note == "2 revised by late trades"


def test_a_revised_bar_is_looked_at_though_no_trade_of_it_came(lake: GrowingLake) -> None:
    lake.grow()
    bar = lake.bars[0]
    bar.update(volume=bar["volume"] + 1, revised_at=time_of(landed_us(2) + 1))
    again = GrowingLake(lake.home.parent / "revised")
    again.rows, again.blocks = lake.rows, lake.blocks
    again.commit()
    assert "volume is" in failed(newest(again))["silver.one_minute_bars values"]


def test_candles_that_came_are_looked_at(lake: GrowingLake) -> None:
    lake.grow()
    received = landed_us(2)
    lake.candles(candle(START_US - 3 * MINUTE_US, "1", "2", "3", "4", 7), received_us=received)
    lake.aggregate()
    again = GrowingLake(lake.home.parent / "candles")
    again.rows, again.blocks = lake.rows, lake.blocks
    again.commit()
    report = newest(again)
    assert failed(report) == {}
    assert by_name(report)["silver.candles complete"].counted == 1
    assert by_name(report)["silver.one_minute_bars values"].counted == 11
    other = GrowingLake(lake.home.parent / "lost")
    other.rows = {
        **lake.rows,
        CANDLES.name: [],
        ONE_MINUTE_BARS.name: [b for b in lake.bars if b["origin"] == "trades"],
    }
    other.blocks = lake.blocks
    other.commit()
    assert "silver.candles complete" in failed(newest(other))


def test_ids_missing_between_before_and_now_need_a_row(lake: GrowingLake) -> None:
    lake.blocks += 1  # a block of which nothing was heard
    lake.grow()
    lake.grow()  # later than the seconds in which a hole needs no row
    gone = 1000 + 2 * PER_BLOCK, 999 + 3 * PER_BLOCK
    lake.commit()
    since, settings = Since(landed_us(3)), load_settings(home=lake.home)
    assert f"BTC-USDT {gone[0]} to {gone[1]}: no row" in failed(audit(settings, since=since))["silver.gaps missing ids"]
    lake.id_gap(*gone)
    lake.commit()
    report = audit(settings, since=since)
    assert failed(report) == {}
    assert by_name(report)["silver.gaps missing ids"].counted == PER_BLOCK


def test_an_id_missing_within_what_came_needs_a_row(lake: GrowingLake) -> None:
    lake.grow(but=30)
    lake.commit()
    assert failed(newest(lake)) == {}  # shown in the newest seconds
    lake.grow()
    lake.commit()
    since = Since(landed_us(2))
    assert list(failed(audit(load_settings(home=lake.home), since=since))) == ["silver.gaps missing ids"]


def test_a_gap_closed_since_has_its_ids(lake: GrowingLake) -> None:
    lake.grow(but=30)
    lake.commit()
    gone = 1000 + 2 * PER_BLOCK + 30
    lake.grow()
    gap = lake.id_gap(gone, gone, "closed")
    gap["detected_at"], gap["closed_at"] = time_of(landed_us(2)), time_of(landed_us(3) + 1)
    lake.commit()
    assert f"{gone} to {gone}: closed, but" in failed(newest(lake))["silver.gaps closed ids"]
    other = GrowingLake(lake.home.parent / "filled")
    other.rows, other.blocks = lake.rows, lake.blocks
    us = START_US + 2 * BLOCK_US + 150_000_000
    other._offsets = dict(lake._offsets)  # noqa: SLF001
    other.trade(gone, "60000", "1", us, received_us=landed_us(3), sequence=1, origin="backfill")
    other.aggregate()
    other.commit()
    report = newest(other)
    assert failed(report) == {}
    assert by_name(report)["silver.gaps closed ids"].counted == 1


def test_a_gap_that_says_nothing_of_itself(lake: GrowingLake) -> None:
    lake.grow()
    for column, value in (("reason", " "), ("status", "gone"), ("closed_at", None), ("to_id", 1), ("from_id", None)):
        gap = lake.id_gap(2, 3, "closed")
        gap["detected_at"] = gap["closed_at"] = time_of(landed_us(2))
        gap[column] = value
    lake.commit()
    found = by_name(newest(lake))["silver.gaps explained"]
    assert found.failures == 5
    said = " | ".join(found.examples)
    for why in ("without a reason", "gone is no status", "closed_at is empty", "ends before", "neither ids nor times"):
        assert why in said


def test_open_gaps_are_told_by_age(lake: GrowingLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE__BACKFILL__MOST_IDS", "1000")
    lake.id_gap(5, 9)
    lake.id_gap(10, 5000)
    lake.rows[GAPS.name][-1]["detected_at"] = time_of(START_US + MINUTE_US)
    lake.commit()
    found = by_name(audit(load_settings(home=lake.home)))["silver.gaps explained"]
    assert found.passed
    assert found.note == (
        "the oldest open one since 2024-08-09T00:00:00+00:00; "
        "1 open for more than 15 min: does `cryptolake backfill` run?; 1 open, of more ids than are asked for"
    )


def test_the_next_audit_goes_on_where_this_one_ended(lake: GrowingLake) -> None:
    """What is in flight is looked at again once it is not; together nothing is left out."""
    first = audit(load_settings(home=lake.home))
    lake.grow()
    before = dict(lake.rows)
    for table in (ONE_MINUTE_BARS, FIVE_MINUTE_BARS, SIX_MINUTE_TRENDS):
        lake.rows[table.name] = lake.rows[table.name][: lake._written[table.name]]  # noqa: SLF001
    marks = lake.aggregate_mark
    lake.aggregate_mark = lambda source, version: marks(source, 2)  # type: ignore[method-assign]
    lake.commit()  # refined, and not aggregated
    second = audit(load_settings(home=lake.home), since=first.resume)
    assert failed(second) == {}
    assert "minutes in flight without a bar" in by_name(second)["silver.one_minute_bars values"].note
    lake.rows |= before
    lake.bars[-1]["volume"] += 1
    lake.aggregate_mark = marks  # type: ignore[method-assign]
    lake.commit()
    third = audit(load_settings(home=lake.home), since=Since(landed_us(9), second.resume.minutes))
    assert third.frames == 0
    assert list(failed(third)) == ["silver.one_minute_bars values", "silver.five_minute_bars values"]
    # From the newest batch on, less the seconds in which a hole needs no row.
    assert second.resume.us == landed_us(2) - 8_000_000


def test_one_document_of_json(lake: GrowingLake) -> None:
    lake.grow()
    lose(lake)
    lake.commit()
    out = StringIO()
    assert print_json(newest(lake), Console(file=out)) == 1
    told = json.loads(out.getvalue())
    assert told["verdict"] == "failed"
    assert told["looked_at"]["since"] == "2024-08-09T00:15:10+00:00"
    assert told["looked_at"]["whole"] is False
    assert told["not_looked_at"]
    assert told["versions"]["silver.trades"] == 3
    lost = next(check for check in told["checks"] if not check["passed"])
    assert lost["name"] == "silver.trades complete"
    assert (lost["counted"], lost["failed"]) == (PER_BLOCK + PER_BLOCK // 3, 1)
    assert lost["what"].startswith("every good row")
    assert "lost: neither" in lost["examples"][0]
    (batch,) = told["batches_that_do_not_add_up"]
    assert (batch["rows"], batch["silver"], batch["missing"]) == (PER_BLOCK + PER_BLOCK // 3 + 1, 79, 1)
    assert batch["ingested_at"] == "2024-08-09T00:15:10+00:00"
    assert {"topic_id": "id-of-binance.trade", "partition": 0, "from": 42, "to": 62} in batch["offsets"]


def test_a_batch_that_does_not_add_up_is_told_by_its_number(tmp_path: Path) -> None:
    lake = GrowingLake(tmp_path / "home")
    for block in range(3):
        lake.grow()
        now = datetime.now(UTC)
        for frame in lake.frames:
            if frame["received_at"] == time_of(landed_us(block)):
                frame["ingested_at"] = now
        if block == 1:
            lake.withheld += [trade_of(lake, 3), trade_of(lake, 4)]
            lake.trades.append(dict(trade_of(lake, 5)))
        lake.commit()
    report = audit(load_settings(home=lake.home))
    (batch,) = report.batches
    assert batch.batch_id == 2
    figures = {name: rows for name, rows in batch.figures.items() if rows}
    assert figures == {"rows": 81, "silver": 79, "quarantine": 1, "missing": 2, "surplus": 1}
    (example,) = by_name(report)["bronze.frames batches"].examples
    assert "(batch id 2), topic id id-of-binance.trade, partition 0, offsets 21 to 41" in example
    assert example.endswith("81 rows, 79 silver, 1 quarantine, 2 missing, 1 surplus")


def test_copies_control_frames_and_what_is_in_flight_are_accounted(lake: GrowingLake) -> None:
    lake.grow()
    received = landed_us(2)
    lake.frame(lake.frames[0]["payload"], received_us=received)
    lake.frame("[]", key="BTCUSDT", received_us=received)  # no row
    lake.frame("pong", channel="control", received_us=received)
    lake.commit()
    assert by_name(newest(lake))["bronze.frames batches"].note == "83 rows in"
    lake.grow()
    lake.withheld += lake.trades[lake._written[TRADES.name] :]  # noqa: SLF001
    lake.refine_mark = lambda table, version: (f"{table.name}/refine/{lake.table_id(FRAMES)}", 3)  # type: ignore[method-assign]
    lake.commit()
    report = audit(load_settings(home=lake.home))
    assert "bronze.frames batches" not in failed(report)
    assert "80 in flight" in by_name(report)["silver.trades complete"].note


def test_a_partition_that_was_quiet_for_long_is_joined_or_named(
    lake: GrowingLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.gap(START_US, START_US + 1, received_us=landed_us(2))
    for _ in range(2):
        lake.grow()
        lake.commit()
    lake.grow()
    lake.gap(START_US + 2, START_US + 3, received_us=landed_us(4))
    lake.commit()
    offsets = by_name(newest(lake))["bronze.frames offsets"]
    assert (offsets.passed, offsets.note) == (True, "")
    monkeypatch.setenv("CRYPTOLAKE__AUDIT__ROWS_PER_PART", "50")
    offsets = by_name(newest(lake))["bronze.frames offsets"]
    assert (offsets.passed, offsets.note) == (True, "1 partitions not joined onto the offsets before")


def test_the_ids_of_a_gap_closed_since_may_have_come_long_before(lake: GrowingLake) -> None:
    lake.grow()
    for first, last in ((1005, 1010), (500, 505)):
        gap = lake.id_gap(first, last, "closed")
        gap["detected_at"], gap["closed_at"] = time_of(landed_us(0)), time_of(landed_us(2) + 1)
    lake.commit()
    report = newest(lake)
    assert failed(report) == {"silver.gaps closed ids": "BTC-USDT 500 to 505: closed, but 500 to 505 are missing"}
    assert by_name(report)["silver.gaps closed ids"].counted == 2


def test_neighbours_in_partitions_of_which_nothing_came_are_not_held_against_bronze(lake: GrowingLake) -> None:
    first = next(trade for trade in lake.trades if trade["trade_id"] == 1000 + PER_BLOCK)
    text = binance_frame(1000 + PER_BLOCK, f"{first['price']:f}", "0.25", START_US + BLOCK_US)
    lake.frame(text, received_us=landed_us(2))
    lake.commit()
    report = audit(load_settings(home=lake.home), since=Since(landed_us(2)))
    assert failed(report) == {}
    assert by_name(report)["silver.trades complete"].note == "1 further copies"
    assert by_name(report)["silver.trades keys"].counted > by_name(report)["silver.trades sources"].counted == 0
    assert by_name(report)["silver.one_minute_bars values"].counted == 2  # of both venues, in the minute of the copy


def test_marks_are_those_of_the_version_that_was_pinned(lake: GrowingLake) -> None:
    """Not of the newest, which would call rows consumed that the pinned version of the table below has not got."""
    pinned = PinnedTable(lake.home / "lake", TRADES.name)
    app_id, _ = lake.refine_mark(TRADES, 0)
    lake.grow()
    lake.commit()
    assert pinned.mark(app_id) == 2
    assert PinnedTable(lake.home / "lake", TRADES.name).mark(app_id) == 3
    assert pinned.mark("nobody") is None
