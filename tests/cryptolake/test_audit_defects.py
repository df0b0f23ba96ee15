"""One planted defect a test: the audit must find it and name it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from lake_by_hand import MINUTE_US, START_US, HandLake, Row, binance_frame, candle, schema_of, time_of
from rich.console import Console

from bronze.tables import FRAMES
from cryptolake.audit.console import print_report
from cryptolake.audit.result import CheckResult
from cryptolake.audit.run import audit
from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.maintenance.compaction import Compaction
from lakehouse.maintenance.grouping import Worth
from lakehouse.settings import load_settings
from silver.tables import CANDLES, FIVE_MINUTE_BARS, GAPS, ONE_MINUTE_BARS, QUARANTINE, SIX_MINUTE_TRENDS, TRADES

SEED = 20240809
LAST_DIGIT = Decimal(1).scaleb(-16)


@pytest.fixture
def lake(tmp_path: Path) -> HandLake:
    """Nine minutes with trades of two venues, candles before and among them, a gap, a bad frame, a control frame."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)  # noqa: S311
    lake = HandLake(tmp_path / "home")
    for number in range(180):
        lake.trade(
            1000 + number,
            f"{draw.uniform(60000, 61000):.2f}",
            f"{draw.uniform(0.00001, 2):.5f}",
            START_US + number * 3_000_000,
            draw.choice(["buy", "sell"]),
            partition=number % 3,
            sequence=number,
        )
        if number % 4 == 0:
            us = START_US + number * 3_000_000 + 7_000
            lake.coincap(f"{draw.uniform(1, 2):.8f}", f"{draw.uniform(1, 9):.3f}", us, session_id="C1", sequence=number)
    lake.gap(START_US, START_US + 5_000_000)
    minutes = [START_US + step * MINUTE_US for step in (-2, -1, 0, 1)]
    counts = (7, 0, 1, 500)
    lake.candles(
        *(candle(us, "59000.1", "60000.2", "3.5", "210000.7", n) for us, n in zip(minutes, counts, strict=True))
    )
    lake.quarantine(lake.frame("503 Service Unavailable"), "invalid_json")
    lake.frame('{"result":null,"id":1}', channel="control", session_id=None, sequence=None)
    lake.aggregate()
    return lake


def results_of(lake: HandLake, ledger: Path | None = None) -> dict[str, CheckResult]:
    results = audit(load_settings(home=lake.home), ledger)
    assert print_report(results, Console(file=io.StringIO())) == int(any(not r.passed for r in results))
    return {result.name: result for result in results}


def failed(lake: HandLake, ledger: Path | None = None) -> dict[str, str]:
    lake.write()
    return {name: " | ".join(r.examples) for name, r in results_of(lake, ledger).items() if not r.passed}


def test_a_correct_lake_passes_and_everything_is_counted(lake: HandLake) -> None:
    assert failed(lake) == {}
    results = results_of(lake)
    assert results["bronze.frames read"].counted == len(lake.frames)
    assert results["bronze.frames read"].note.startswith("1 control; 0 in flight")
    assert results["silver.trades complete"].counted == 180 + 45
    assert results["silver.candles complete"].counted == 4
    assert results["silver.quarantine complete"].counted == 1
    assert {bar["origin"] for bar in lake.bars} == {"trades", "klines"}
    assert results["silver.one_minute_bars values"].counted == len(lake.bars)
    assert results["silver.five_minute_bars values"].counted == len(lake.windows)
    assert {bar["origin"] for bar in lake.windows} == {"trades", "klines"}
    assert results["silver.six_minute_trends values"].counted == len(lake.trends)


def test_many_small_parts_give_the_same_result(lake: HandLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE__AUDIT__ROWS_PER_PART", "20")
    monkeypatch.setenv("CRYPTOLAKE__AUDIT__BATCH_BYTES", "1000")
    lake.frame(lake.frames[0]["payload"])  # a further copy
    for number in range(8):  # and eight of Bybit's, of another session
        lake.bybit(f"fill-{number}", seq=20 + number, us=START_US + number * 1_000_000)
        payload, of_bybit = lake.frames[-1]["payload"], {"venue": "bybit-spot", "key": "publicTrade.ETHUSDT"}
        lake.frame(payload, **of_bybit, session_id="R", sequence=number)
    lake.aggregate()
    assert failed(lake) == {}
    assert "9 further copies" in results_of(lake)["silver.trades complete"].note
    assert results_of(lake)["silver.one_minute_bars values"].counted == len(lake.bars)


def test_no_lake_is_one_line_and_no_trace(tmp_path: Path) -> None:
    with pytest.raises(CryptolakeError, match=r"nothing to audit.*silver\.six_minute_trends"):
        audit(load_settings(home=tmp_path))


def test_an_empty_lake_passes(tmp_path: Path) -> None:
    assert failed(HandLake(tmp_path)) == {}


def test_a_missing_offset(lake: HandLake) -> None:
    lost = lake.frames.pop(5)
    lake.trades.remove(
        next(
            t
            for t in lake.trades
            if t["offset"] == lost["offset"] and t["topic"] == lost["topic"] and t["partition"] == lost["partition"]
        )
    )
    lake.aggregate()
    found = failed(lake)
    assert list(found) == ["bronze.frames offsets"]
    assert f"offsets {lost['offset']} to {lost['offset']} missing" in found["bronze.frames offsets"]


def test_a_doubled_offset(lake: HandLake) -> None:
    lake.frames.append(dict(lake.frames[7]))
    assert "twice" in failed(lake)["bronze.frames offsets"]


def test_bronze_cut_by_retention_is_noted(lake: HandLake) -> None:
    cut = [frame for frame in lake.frames if frame["topic"] == "binance.trade" and frame["offset"] < 3]
    for frame in cut:
        lake.frames.remove(frame)
    assert failed(lake) == {}
    results = results_of(lake)
    assert "rows older than what bronze still holds" in results["silver.trades sources"].note
    assert "9 offsets before the first one held" in results["bronze.frames offsets"].note


def test_a_topic_made_anew(lake: HandLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.trade(5000, "60000", "1", START_US, topic_id="another-id", offset=0)
    lake.aggregate()
    assert "binance.trade: ids another-id, id-of-binance.trade" in failed(lake)["bronze.frames topic ids"]
    monkeypatch.setenv("CRYPTOLAKE__KAFKA__ACCEPT_RECREATED_TOPICS", '["binance.trade"]')
    assert results_of(lake)["bronze.frames topic ids"].passed


def test_a_doubled_trade(lake: HandLake) -> None:
    lake.trades.append(dict(lake.trades[11]))
    found = failed(lake)
    assert f"BTC-USDT {lake.trades[11]['trade_key']}: 2 rows" in found["silver.trades keys"]


def test_a_further_copy_that_also_went_to_silver(lake: HandLake) -> None:
    first = lake.trades[0]
    lake.trade(first["trade_id"], str(first["price"]), str(first["quantity"]), START_US, first["side"])
    assert list(failed(lake)) == ["silver.trades keys", "silver.one_minute_bars values"]


@pytest.mark.parametrize(
    ("table", "check"),
    [
        (CANDLES, "silver.candles keys"),
        (ONE_MINUTE_BARS, "silver.one_minute_bars keys"),
        (FIVE_MINUTE_BARS, "silver.five_minute_bars keys"),
        (SIX_MINUTE_TRENDS, "silver.six_minute_trends keys"),
        (QUARANTINE, "silver.quarantine keys"),
        (GAPS, "silver.gaps keys"),
    ],
)
def test_a_doubled_row_of_another_table(lake: HandLake, table: object, check: str) -> None:
    rows = lake.rows[table.name]  # type: ignore[attr-defined]
    rows.append(dict(rows[0]))
    assert check in failed(lake)


def test_a_lost_trade(lake: HandLake) -> None:
    gone = lake.trades.pop(40)
    lake.aggregate()
    found = failed(lake)
    assert list(found) == ["silver.trades complete", "bronze.frames batches"]
    assert gone["trade_key"] in found["silver.trades complete"]
    assert "lost" in found["silver.trades complete"]


def test_a_lost_candle_and_a_lost_gap(lake: HandLake) -> None:
    lake.rows[CANDLES.name].pop()
    lake.rows[GAPS.name].clear()
    lake.aggregate()
    assert list(failed(lake)) == ["silver.candles complete", "silver.gaps complete", "bronze.frames batches"]


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("price", lambda v: v + Decimal("0.000000000001")),
        ("quantity", lambda v: v + Decimal("0.00000001")),
        ("side", lambda v: "sell" if v == "buy" else "buy"),
        ("event_time", lambda v: v.replace(microsecond=1)),
        ("received_at", lambda v: v.replace(microsecond=1)),
        ("session_id", lambda v: "S2"),
        ("sequence", lambda v: v + 1),
        ("origin", lambda v: "replay"),
        ("topic", lambda v: "other"),
    ],
)
def test_an_altered_field_of_a_trade(lake: HandLake, column: str, change: Callable[[object], object]) -> None:
    trade = lake.trades[33]
    trade[column] = change(trade[column])
    lake.aggregate()
    found = failed(lake)
    assert list(found) == ["silver.trades fields"]
    assert f"{trade['trade_key']}" in found["silver.trades fields"]
    assert f"{column} is" in found["silver.trades fields"]


@pytest.mark.parametrize("column", ["trade_key", "trade_id", "venue_symbol", "venue"])
def test_an_altered_key_of_a_trade(lake: HandLake, column: str) -> None:
    trade = lake.trades[33]
    trade[column] = trade[column] + 1 if column == "trade_id" else trade[column] + "1"
    found = failed(lake)
    assert any(name.startswith("silver.trades") or name == "silver symbols" for name in found)


def test_a_symbol_under_another_name(lake: HandLake) -> None:
    lake.trades[3]["symbol"] = "BTCU-SDT"
    lake.aggregate()
    assert "BTCUSDT is BTCU-SDT" in failed(lake)["silver symbols"]


def test_a_good_row_in_quarantine(lake: HandLake) -> None:
    gone = lake.trades.pop(40)
    lake.quarantine(gone, "non_positive:p")
    lake.aggregate()
    assert "a good row is in quarantine as non_positive:p" in failed(lake)["silver.trades complete"]


def test_a_row_in_silver_and_in_quarantine(lake: HandLake) -> None:
    lake.quarantine(lake.trades[40], "non_positive:p", row=0)
    assert "in silver and in quarantine" in failed(lake)["silver.trades complete"]


def test_a_bad_row_in_silver(lake: HandLake) -> None:
    frame = lake.frame(binance_frame(7000, "-1.00", "1", START_US))
    lake.silver_trade(frame, "BTCUSDT", "7000", 7000, "buy", "1.00", "1", START_US)
    lake.aggregate()
    found = failed(lake)
    assert "bronze's row is bad (non_positive)" in found["silver.trades sources"]
    assert "non_positive" in found["silver.quarantine complete"]


def test_a_row_from_nowhere(lake: HandLake) -> None:
    lake.silver_trade({**lake.frames[0], "offset": 99_999}, "BTCUSDT", "1", 1, "buy", "1", "1", START_US)
    lake.aggregate()
    assert "bronze has no such row" in failed(lake)["silver.trades sources"]


def test_a_quarantined_row_from_nowhere(lake: HandLake) -> None:
    lake.quarantine({**lake.frames[0], "offset": 99_999}, "invalid_json")
    assert "99999" in failed(lake)["silver.quarantine sources"]


def test_a_bad_row_that_vanished(lake: HandLake) -> None:
    lake.rows[QUARANTINE.name].clear()
    assert "trailing_data" in failed(lake)["silver.quarantine complete"]


def test_quarantine_with_other_bytes(lake: HandLake) -> None:
    lake.rows[QUARANTINE.name][0]["payload"] = b"504"
    assert "other bytes" in failed(lake)["silver.quarantine bytes"]


def test_a_conflicting_copy_belongs_into_quarantine(lake: HandLake) -> None:
    first = lake.trades[0]
    copy = lake.frame(binance_frame(first["trade_id"], "1.00", str(first["quantity"]), START_US, first["side"]))
    found = failed(lake)
    assert "conflicts with the row in silver" in found["silver.trades complete"]
    again = HandLake(lake.home.parent / "again")
    again.rows = lake.rows
    again.quarantine(copy, "conflicting_duplicate", row=0)
    assert failed(again) == {}


def test_a_conflict_that_does_not_exist(lake: HandLake) -> None:
    first = lake.trades[0]
    copy = lake.frame(first_payload(lake, first))
    lake.quarantine(copy, "conflicting_duplicate", row=0)
    assert "nothing that it conflicts with" in failed(lake)["silver.trades complete"]


def first_payload(lake: HandLake, trade: Row) -> bytes:
    place = ("topic_id", "partition", "offset")
    return next(bytes(f["payload"]) for f in lake.frames if all(f[name] == trade[name] for name in place))


@pytest.mark.parametrize("kept", [0, 1])
def test_either_of_two_equal_copies_may_be_kept(lake: HandLake, kept: int) -> None:
    first = lake.trades[0]
    copy = lake.frame(first_payload(lake, first))
    if kept:
        lake.trades[0] = {**first, **{name: copy[name] for name in ("partition", "offset", "sequence")}}
    assert failed(lake) == {}


@pytest.mark.parametrize(
    "column", ["open", "high", "low", "close", "volume", "buy_volume", "amount", "price_sum", "average_price", "vwap"]
)
def test_an_altered_digit_of_a_bar(lake: HandLake, column: str) -> None:
    bar = next(bar for bar in lake.bars if bar["origin"] == "trades")
    decimals = ONE_MINUTE_BARS.schema[column].dataType.scale  # type: ignore[attr-defined]
    bar[column] += Decimal(1).scaleb(-decimals)
    if column == "average_price":
        lake.rows[SIX_MINUTE_TRENDS.name] = [t for t in lake.trends if False]
    found = failed(lake)
    assert f"{column} is" in found["silver.one_minute_bars values"]


def test_the_last_digit_of_a_candles_vwap(lake: HandLake) -> None:
    bar = next(bar for bar in lake.bars if bar["origin"] == "klines")
    bar["vwap"] -= LAST_DIGIT
    assert list(failed(lake)) == ["silver.one_minute_bars values"]


def test_trades_of_one_microsecond_open_and_close_by_id(lake: HandLake) -> None:
    us = START_US + 30 * MINUTE_US
    lake.trade(30_010, "5", "1", us)
    lake.trade(30_009, "4", "1", us)  # "30009" sorts before "30010" as text too: ids of other lengths below
    lake.trade(9_999, "3", "1", us)
    lake.aggregate()
    bar = next(bar for bar in lake.bars if bar["minute"] == time_of(us))
    assert (bar["open"], bar["close"]) == (3, 5)
    assert failed(lake) == {}
    bar["open"], bar["close"] = bar["close"], bar["open"]
    again = HandLake(lake.home.parent / "again")
    again.rows = lake.rows
    found = failed(again)["silver.one_minute_bars values"]
    assert "open is 5.000000000000, computed 3.000000000000" in found


def test_a_candle_kept_although_trades_count_as_many(lake: HandLake) -> None:
    us = START_US + 30 * MINUTE_US
    lake.trade(30_000, "5", "1", us)
    lake.candles(candle(us, "5", "5", "1", "5", 1), received_us=us + 2 * MINUTE_US)
    lake.aggregate()
    bar = next(bar for bar in lake.bars if bar["minute"] == time_of(us))
    assert bar["origin"] == "trades"
    bar.update(origin="klines", average_price=None, price_sum=None)
    found = failed(lake)
    assert "origin is klines, computed trades" in found["silver.one_minute_bars values"]


def test_a_missing_bar_and_a_bar_without_trades(lake: HandLake) -> None:
    gone = lake.bars.pop()
    lake.bars.append({**gone, "minute": time_of(START_US + 99 * MINUTE_US)})
    lake.rows[SIX_MINUTE_TRENDS.name] = []
    found = failed(lake)["silver.one_minute_bars values"]
    assert "no bar" in found
    assert "no trade or candle of that minute" in found


@pytest.mark.parametrize(
    ("column", "change"),
    [
        *((name, lambda v: v + Decimal("0.000000000001")) for name in ("open", "high", "low", "close")),
        *((name, lambda v: v + Decimal("0.00000001")) for name in ("volume", "buy_volume")),
        *((name, lambda v: v + Decimal(1).scaleb(-20)) for name in ("amount", "price_sum")),
        *((name, lambda v: v + LAST_DIGIT) for name in ("average_price", "vwap")),
        ("trade_count", lambda v: v + 1),
        ("origin", lambda v: "klines"),
    ],
)
def test_an_altered_value_of_a_five_minute_bar(lake: HandLake, column: str, change: Callable[[object], object]) -> None:
    bar = next(bar for bar in lake.windows if bar["origin"] == "trades")
    bar[column] = change(bar[column])
    found = failed(lake)
    assert list(found) == ["silver.five_minute_bars values"]
    assert f"{column} is" in found["silver.five_minute_bars values"]


def test_a_missing_five_minute_bar_and_one_too_many(lake: HandLake) -> None:
    gone = lake.windows.pop()
    lake.windows.append({**gone, "window_start": time_of(START_US + 95 * MINUTE_US)})
    found = failed(lake)
    assert list(found) == ["silver.five_minute_bars values"]
    assert "no bar in those five minutes" in found["silver.five_minute_bars values"]
    assert f"{gone['venue']} {gone['symbol']} {gone['window_start']:%Y-%m-%d %H:%M}: no bar" in found.popitem()[1]


def test_five_minutes_that_aggregate_has_not_settled_are_in_flight(lake: HandLake) -> None:
    first = min(lake.bars, key=lambda bar: (bar["venue"] != "binance", bar["minute"], bar["symbol"]))
    lake.write()
    # A MERGE of one minute copies all the others of its file.
    first["volume"] += 1
    path = str(lake.path(ONE_MINUTE_BARS))
    merge = DeltaTable(path).merge(
        pa.Table.from_pylist([first], schema=schema_of(ONE_MINUTE_BARS)),
        "t.venue = s.venue AND t.symbol = s.symbol AND t.minute = s.minute",
        source_alias="s",
        target_alias="t",
    )
    merge.when_matched_update_all().execute()
    results = results_of(lake)
    assert [name for name, result in results.items() if not result.passed] == ["silver.one_minute_bars values"]
    assert results["silver.five_minute_bars values"].note == "1 bars in flight"
    assert results["silver.five_minute_bars values"].counted == len(lake.windows) - 1
    # Once aggregate says it has settled them, the old window is wrong.
    lake.append(FIVE_MINUTE_BARS, [], lake.windows_mark(2))
    failures = results_of(lake)["silver.five_minute_bars values"]
    assert failures.failures == 1
    assert "volume is" in failures.examples[0]


def test_five_minutes_of_bars_that_are_new_may_be_absent(lake: HandLake) -> None:
    lake.windows.clear()
    lake.windows_mark = lambda version: lake.refine_mark(GAPS, version)  # type: ignore[method-assign]
    assert failed(lake) == {}
    assert "minutes in flight without a bar" in results_of(lake)["silver.five_minute_bars values"].note


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("average_price", lambda v: v + LAST_DIGIT),
        ("change_pct", lambda v: v + Decimal("0.00000001")),
        ("minutes_present", lambda v: v + 1),
        ("trend", lambda v: {"up": "down"}.get(v, "up")),
    ],
)
def test_an_altered_value_of_a_trend(lake: HandLake, column: str, change: Callable[[object], object]) -> None:
    lake.trends[4][column] = change(lake.trends[4][column])
    found = failed(lake)
    assert list(found) == ["silver.six_minute_trends values"]
    assert f"{column} is" in found["silver.six_minute_trends values"]


def test_a_missing_trend(lake: HandLake) -> None:
    lake.trends.pop(2)
    assert "no trend" in failed(lake)["silver.six_minute_trends values"]


def test_bronze_that_refine_has_not_consumed_is_in_flight(lake: HandLake) -> None:
    lake.write()
    late = HandLake(lake.home)
    late._offsets = dict(lake._offsets)  # noqa: SLF001
    late.trade(9_000, "60000", "1", START_US)
    late.frame("rubbish")
    late.frame(binance_frame(1000, "1.00", "1", START_US))  # conflicts with a trade
    lake.append(FRAMES, late.frames)
    results = results_of(lake)
    assert all(result.passed for result in results.values())
    assert "2 in flight" in results["silver.trades complete"].note
    assert "1 in flight" in results["silver.quarantine complete"].note
    # The same rows once refine says it has consumed them are lost.
    lake.append(TRADES, [], lake.refine_mark(TRADES, 2))
    results = results_of(lake)
    assert results["silver.trades complete"].failures == 2
    assert results["silver.quarantine complete"].failures == 1


def test_minutes_that_aggregate_has_not_settled_are_in_flight(lake: HandLake) -> None:
    lake.write()
    late = HandLake(lake.home)
    late._offsets = dict(lake._offsets)  # noqa: SLF001
    late.trade(9_000, "61000", "1", START_US + 2 * MINUTE_US)
    lake.append(FRAMES, late.frames)
    lake.append(TRADES, late.trades, lake.refine_mark(TRADES, 2))
    results = results_of(lake)
    assert all(result.passed for result in results.values())
    assert "1 bars in flight" in results["silver.one_minute_bars values"].note
    assert "6 trends in flight" in results["silver.six_minute_trends values"].note
    # Once aggregate says it has settled them, the old bar is wrong.
    lake.append(SIX_MINUTE_TRENDS, [], lake.aggregate_mark(TRADES, 2))
    results = results_of(lake)
    assert results["silver.one_minute_bars values"].failures == 1
    assert results["silver.six_minute_trends values"].passed  # they still equal the stored bars


def test_candles_that_aggregate_has_not_settled_are_in_flight(lake: HandLake) -> None:
    lake.write()
    late = HandLake(lake.home)
    late._offsets = dict(lake._offsets)  # noqa: SLF001
    late.candles(candle(START_US - 9 * MINUTE_US, "1", "2", "3", "4", 7))
    lake.append(FRAMES, late.frames)
    lake.append(CANDLES, late.rows[CANDLES.name], lake.refine_mark(CANDLES, 2))
    lake.append(TRADES, [], lake.refine_mark(TRADES, 2))
    results = results_of(lake)
    assert all(result.passed for result in results.values())
    assert "1 minutes in flight without a bar" in results["silver.one_minute_bars values"].note
    lake.append(SIX_MINUTE_TRENDS, [], lake.aggregate_mark(CANDLES, 2))
    assert "no bar" in results_of(lake)["silver.one_minute_bars values"].examples[0]


def test_before_anything_was_consumed_all_is_in_flight(lake: HandLake) -> None:
    kept = {name: rows for name, rows in lake.rows.items() if name == FRAMES.name}
    empty = HandLake(lake.home)
    empty.rows |= kept
    empty.refine_mark = lambda table, version: lake.refine_mark(GAPS, version)  # type: ignore[method-assign]
    assert failed(empty) == {}
    assert "225 in flight" in results_of(empty)["silver.trades complete"].note


def test_compaction_of_bronze_brings_nothing_back_into_flight(lake: HandLake) -> None:
    lake.trades.pop(40)
    lake.aggregate()
    lake.write()
    lake.append(FRAMES, [])
    DeltaTable(str(lake.path(FRAMES))).optimize.compact()
    assert results_of(lake)["silver.trades complete"].failures == 1


def test_a_compaction_of_what_was_consumed_is_not_in_flight_beside_frames_that_are(lake: HandLake) -> None:
    lake.trades.pop(40)
    lake.aggregate()
    control, mark_of = lake.rows[FRAMES.name].pop(), lake.refine_mark
    lake.refine_mark = lambda table, _: mark_of(table, 2)  # type: ignore[method-assign]
    lake.write()
    lake.append(FRAMES, [control])
    lake.append(FRAMES, [lake.frame(binance_frame(5000, "1.5", "1", START_US))])
    owner = Lake(None, load_settings(home=lake.home))  # type: ignore[arg-type] # delta-rs does it
    for _ in Compaction(owner, FRAMES, nullcontext, lambda: 3).steps(Worth.at_once):
        pass
    assert len(DeltaTable(str(lake.path(FRAMES))).file_uris()) == 2
    results = results_of(lake)
    assert "1 in flight" in results["bronze.frames read"].note
    assert results["silver.trades complete"].failures == 1


def test_a_rest_body_is_judged_row_by_row(lake: HandLake) -> None:
    time = START_US // 1000
    body: list[object] = [
        {
            "id": 50,
            "price": "1.5",
            "qty": "2",
            "quoteQty": "3",
            "time": time,
            "isBuyerMaker": True,
            "isBestMatch": True,
        },
        {"id": 51, "price": 1.5, "qty": "2", "time": time, "isBuyerMaker": True},
    ]
    frame = lake.frame(json.dumps(body), key="BTCUSDT", origin="backfill")
    lake.silver_trade(frame, "BTCUSDT", "50", 50, "sell", "1.5", "2", START_US)
    lake.quarantine(frame, "wrong_type:price", row=1)
    lake.aggregate()
    assert failed(lake) == {}
    again = HandLake(lake.home.parent / "again")
    again.rows = lake.rows
    again.rows[QUARANTINE.name].pop()
    again.quarantine(frame, "wrong_type:price")  # the whole frame is not that row
    assert {"silver.quarantine complete", "silver.quarantine sources", "bronze.frames batches"} == set(failed(again))


def test_a_damaged_and_a_missing_file_are_named(lake: HandLake) -> None:
    lake.write()
    file = Path(DeltaTable(str(lake.path(TRADES))).file_uris()[0])
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(CryptolakeError, match=r"silver\.trades cannot be read"):
        results_of(lake)
    file.unlink()
    with pytest.raises(CryptolakeError, match=r"silver\.trades cannot be read"):
        results_of(lake)


def with_a_hole(lake: HandLake, received_s: int = 3600) -> None:
    """Ids 1180..1189 are missing before 1190, which was received some seconds after the others."""
    for number in (1190, 1191):
        us = START_US + 9 * MINUTE_US
        lake.trade(
            number, "60000", "1", us, received_us=START_US + (3600 + 9 if number == 1191 else received_s) * 10**6
        )
    lake.aggregate()


def test_missing_ids_in_a_row_of_gaps_are_counted(lake: HandLake) -> None:
    with_a_hole(lake)
    lake.id_gap(1180, 1184)
    lake.id_gap(1185, 1189, "unrecoverable")
    lake.id_gap(1100, 1179, "closed")
    lake.lost_ids(1185, 1189)
    lake.lost_ids(1170, 1179)  # they came after all
    assert failed(lake) == {}
    results = results_of(lake)
    assert results["silver.gaps missing ids"].counted == 10
    assert results["silver.gaps closed ids"].counted == 3
    assert results["silver.gaps lost ids"].counted == 1


def test_a_missing_id_without_a_row_once_the_hole_has_lasted(lake: HandLake) -> None:
    with_a_hole(lake)
    lake.id_gap(1181, 1188)
    assert failed(lake) == {"silver.gaps missing ids": "BTC-USDT 1180 to 1180: no row | BTC-USDT 1189 to 1189: no row"}


def test_a_hole_of_the_newest_seconds_needs_no_row(lake: HandLake) -> None:
    with_a_hole(lake, received_s=3602)
    assert failed(lake) == {}
    assert results_of(lake)["silver.gaps missing ids"].note == "10 shown in the newest seconds"


def test_a_closed_row_whose_ids_are_missing(lake: HandLake) -> None:
    with_a_hole(lake)
    lake.id_gap(1180, 1189)
    lake.id_gap(1170, 1181, "closed")
    found = failed(lake)
    assert set(found) == {"silver.gaps closed ids"}
    assert "1170 to 1181: closed, but 1180 to 1181 are missing" in found["silver.gaps closed ids"]
    assert "overlap" in found["silver.gaps closed ids"]


def test_a_row_closed_after_the_tables_were_pinned_tells_of_later_trades(lake: HandLake) -> None:
    with_a_hole(lake)
    lake.id_gap(1180, 1189, "closed")["closed_at"] = time_of(4 * 10**15)
    assert failed(lake) == {}


def test_lost_ids_that_no_marker_names_and_a_marker_that_was_not_heeded(lake: HandLake) -> None:
    with_a_hole(lake)
    lake.id_gap(1180, 1184, "unrecoverable")
    lake.id_gap(1185, 1189)
    lake.lost_ids(1181, 1186)
    assert failed(lake) == {
        "silver.gaps lost ids": "BTC-USDT 1180 to 1180: unrecoverable, but no marker says so"
        " | BTC-USDT 1185 to 1186: lost by a marker, but not unrecoverable"
    }


def test_a_dump_is_accounted_line_by_line(lake: HandLake) -> None:
    us = START_US + 9 * MINUTE_US
    text = f"1180,60000,1,1.0,{us},False,True\n1000,5,1,1.0,{us},False,True\n1181,x,1,1.0,{us},False,True\n"
    frame = lake.frame(text, channel="trade_dump", key="BTCUSDT", origin="backfill")
    lake.silver_trade(frame, "BTCUSDT", "1180", 1180, "buy", "60000", "1", us, row=0)
    lake.quarantine(frame, "conflicting_duplicate", row=1)
    lake.quarantine(frame, "wrong_type:p", row=2)
    lake.aggregate()
    assert failed(lake) == {}
    lake.rows[QUARANTINE.name].pop()
    lake.trades.pop()
    lake.aggregate()
    lake.home = lake.home.with_name("other")
    assert set(failed(lake)) == {"silver.quarantine complete", "silver.trades complete", "bronze.frames batches"}


def test_the_order_of_bybit_within_a_millisecond(lake: HandLake) -> None:
    us = START_US + 20_000_000
    lake.bybit("b", "a", seq=8, us=us, price="3.5")
    lake.bybit("c", seq=7, us=us, price="2.25")
    first, *_ = lake.bybit("d", seq=9, us=us, price="3.75")
    lake.aggregate()
    bar = next(bar for bar in lake.bars if bar["venue"] == "bybit-spot")
    assert (bar["open"], bar["close"]) == (Decimal("2.25"), Decimal("3.75"))
    other = HandLake(lake.home.parent / "other")
    other.rows = lake.rows
    assert failed(lake) == {}
    bar["open"] = Decimal("3.5")
    assert "open is 3.5" in failed(other)["silver.one_minute_bars values"]
    first["venue_sequence"] = 10
    third = HandLake(lake.home.parent / "third")
    third.rows = lake.rows
    assert "venue_sequence is 10, bronze says 9" in failed(third)["silver.trades fields"]
