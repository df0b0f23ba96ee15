"""The demo's console: what it reads, and that it fits whatever the terminal is."""

from __future__ import annotations

import datetime as dt
import io
import time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console

from bronze.venues import SOURCES
from cryptolake.demo.lag import committed_offsets
from cryptolake.demo.plain import PlainLines, figures
from cryptolake.demo.snapshot import Score, Snapshot, SnapshotReader
from cryptolake.demo.stages import Stage, Stages
from cryptolake.demo.view import Scene, draw, flow, score_text, sources
from cryptolake.run_files import run_file, write_json
from lakehouse.settings import Settings

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
UTC = pa.timestamp("us", "UTC")
HINTS = (("cryptolake watch --every 60 --times 10", "each minute"), ("Ctrl-C here", "stop all"))


def bars(settings: Settings, *rows: tuple[str, int, str, str]) -> None:
    """Append bars: symbol, minutes before noon, close, origin."""
    symbols, before, closes, origins = zip(*rows, strict=True)
    minutes = [NOW - dt.timedelta(minutes=minute) for minute in before]
    ones = [Decimal(1)] * len(rows)
    columns = {
        "venue": pa.array(["binance"] * len(rows)),
        "symbol": pa.array(symbols),
        "minute": pa.array(minutes, UTC),
        "close": pa.array([Decimal(close) for close in closes], pa.decimal128(24, 12)),
        "volume": pa.array(ones, pa.decimal128(34, 8)),
        "amount": pa.array([Decimal(close) for close in closes], pa.decimal128(38, 20)),
        "trade_count": pa.array([7] * len(rows), pa.int64()),
        "origin": pa.array(origins),
    }
    write_deltalake(str(settings.home / "lake/silver/one_minute_bars"), pa.table(columns), mode="append")
    trends = {key: columns[key] for key in ("venue", "symbol", "minute")}
    change = pa.array([Decimal("0.25")] * len(rows), pa.decimal128(18, 8))
    write_deltalake(
        str(settings.home / "lake/silver/six_minute_trends"), pa.table({**trends, "change_pct": change}), mode="append"
    )


def predictions(settings: Settings, *rows: tuple[str, int, str, bool | None, str]) -> None:
    """Append predictions: symbol, minutes before noon, direction, correct, label status; baselines say up."""
    symbols, before, directions, correct, status = zip(*rows, strict=True)
    made = [dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(minutes=minute) for minute in before]
    count = len(rows)
    columns = {
        "venue": pa.array(["binance"] * count),
        "symbol": pa.array(symbols),
        "feature_time": pa.array(made, UTC),
        "target_time": pa.array([moment + dt.timedelta(minutes=6) for moment in made], UTC),
        "direction": pa.array(directions),
        "probability": pa.array([0.6 if direction == "up" else 0.4 for direction in directions]),
        "price": pa.array([Decimal(1)] * count, pa.decimal128(24, 12)),
        "correct": pa.array(correct, pa.bool_()),
        "label_status": pa.array(status),
        "baseline_majority": pa.array(["up"] * count),
        "baseline_last_direction": pa.array(["down"] * count),
        "model_role": pa.array(["champion"] * count),
    }
    write_deltalake(str(settings.home / "lake/gold/predictions"), pa.table(columns), mode="append")


@pytest.fixture
def filled(settings: Settings) -> Settings:
    bars(settings, ("BTC-USDT", 1, "100", "klines"), ("ETH-USDT", 0, "50", "trades"), ("BTC-USDT", 0, "101", "trades"))
    predictions(
        settings,
        ("BTC-USDT", 8, "up", True, "matured"),
        ("ETH-USDT", 8, "down", False, "matured"),
        ("XRP-USDT", 8, "down", True, "matured"),
        ("BTC-USDT", 1, "down", None, "pending"),
        ("BTC-USDT", 100, "down", None, "backfilled"),
    )
    return settings


def test_a_snapshot_shows_the_last_bar_of_each_symbol_and_what_is_said_of_it(filled: Settings) -> None:
    write_json(run_file(filled, "lake"), {"pid": 1, "rows_per_s": 12.5, "batch_s": 0.7})
    snapshot = SnapshotReader(filled).read(lag=3)
    first, second = snapshot.bars
    assert (first.symbol, first.close, first.trades) == ("BTC-USDT", Decimal(101), 7)
    assert first.change_pct == pytest.approx(1.0)
    assert first.trend_pct == Decimal("0.25")
    assert second.change_pct is None, "no bar before it"
    assert (snapshot.live_bars, snapshot.candle_bars) == (2, 1)
    said = {line.symbol: line for line in snapshot.predictions}["BTC-USDT"]
    assert (said.direction, said.last_outcome) == ("down", True), "the newest prediction, the last that matured"
    assert (snapshot.frames_per_s, snapshot.lag, snapshot.batch_s) == (12.5, 3, 0.7)
    assert snapshot.rows_of("silver.one_minute_bars") == 3


def test_the_score_sets_baselines_beside_the_model_on_the_same_rows(filled: Settings) -> None:
    # What happened: BTC up (said up), ETH up (said down), XRP down (said down). Baselines: always up, always down.
    score = SnapshotReader(filled).read(None).score
    assert score is not None
    assert (score.n, score.pending) == (3, 1)
    assert (score.model, score.majority, score.last_direction) == pytest.approx((2 / 3, 2 / 3, 1 / 3))


def test_a_reader_sees_what_was_appended_since(filled: Settings) -> None:
    reader = SnapshotReader(filled)
    assert reader.read(None).rows_of("silver.one_minute_bars") == 3
    bars(filled, ("BTC-USDT", -1, "102", "trades"))
    snapshot = reader.read(None)
    assert snapshot.rows_of("silver.one_minute_bars") == 4
    assert snapshot.bars[0].close == Decimal(102)


def test_open_gaps_are_counted_and_shown(filled: Settings) -> None:
    rows = pa.table({"status": ["open", "closed", "open", "unrecoverable"]})
    write_deltalake(str(filled.home / "lake/silver/gaps"), rows)
    snapshot = SnapshotReader(filled).read(None)
    assert snapshot.open_gaps == 2
    assert "open gaps 2" in "".join(line.plain for line in flow(snapshot, 140))
    assert figures(snapshot)[0].endswith(", open gaps 2")


def tell_of_sources(settings: Settings) -> None:
    """Write what collectors tell: the last frame of each came 3 s ago, but for one that never had any."""
    for number, source in enumerate(SOURCES):
        at_us = None if source == "coingecko" else time.time_ns() // 1000 - 3_000_000
        told = {"pid": 1, "connected": at_us is not None, "frames": 1 + number, "last_frame_at_us": at_us, "unacked": 2}
        write_json(run_file(settings, f"collector-{source}"), told)


def test_every_source_is_shown_with_what_it_brought_and_when(filled: Settings) -> None:
    tell_of_sources(filled)
    snapshot = SnapshotReader(filled).read(None)
    assert snapshot.unacked == 2 * len(SOURCES)
    told = {line.name: line for line in snapshot.sources}
    assert list(told) == list(SOURCES)
    assert told["tickers"].age_s == pytest.approx(3, abs=2)
    assert (told["coingecko"].age_s, told["coingecko"].connected) == (None, False)
    wide = sources(snapshot, 130).plain
    assert wide.startswith("frames, age of the last   binance 1 3")
    assert f"coingecko {len(SOURCES)} -" in wide, "the last of the sources"
    assert [len(sources(snapshot, width).plain) <= width for width in (130, 80, 60)] == [True] * 3


def test_an_empty_home_is_an_empty_snapshot(settings: Settings) -> None:
    assert SnapshotReader(settings).read(None) == Snapshot()


def stages(state: str) -> Stages:
    long = "cryptolake: The local broker did not come up, and this is a very long story about it. See the log. " * 3
    made = [Stage("broker", "Kafka, on this machine"), Stage("model", "random forest")]
    found = Stages(made, lambda: 4.2)
    if state == "failing":
        found.note("broker", "failing", long)
    if state == "done":
        for stage in made:
            found.note(stage.name, "done")
    return found


@pytest.mark.parametrize(("width", "height"), [(200, 60), (130, 40), (100, 30), (80, 24), (60, 20)])
@pytest.mark.parametrize("state", ["starting", "failing", "done"])
@pytest.mark.parametrize("kind", ["empty", "filled"])
def test_the_console_fits_every_terminal(filled: Settings, width: int, height: int, state: str, kind: str) -> None:
    many = [(f"S{number:02d}-USDT", 0, "123456.789", "trades") for number in range(30)]
    snapshot = Snapshot()
    if kind == "filled":
        bars(filled, *many)
        tell_of_sources(filled)
        snapshot = SnapshotReader(filled).read(lag=1_234_567)
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    console.print(draw(Scene(snapshot, stages(state), 3600.0, HINTS), width, height))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "SIMULATED" in text
    assert "not financial advice" in text
    assert ("S00-USDT" in text) == (kind == "filled")
    assert all((source in text) == (kind == "filled") for source in SOURCES)
    assert ("did not come up" in text) == (state == "failing")
    if width >= 80:
        assert "…" not in text or state == "failing", "nothing is cut off at 80 columns"


def test_the_test_score_stands_in_until_predictions_have_matured() -> None:
    scores = {"accuracy": {"value": 0.52, "baseline_majority": 0.5, "baseline_last_direction": 0.49}}
    waiting = Snapshot(test_scores=scores, score=Score(0, 40, None, None, None))
    assert score_text(waiting) == "right in the test: model 52.0 %, majority 50.0 %, last direction 49.0 % (40 pending)"
    assert score_text(Snapshot()) == "no model yet"


def test_plain_lines_tell_each_stage_once_and_figures_now_and_then(filled: Settings) -> None:
    told: list[str] = []
    lines = PlainLines(told.append, every_s=10)
    snapshot = SnapshotReader(filled).read(lag=5)
    lines.show(stages("failing"), snapshot, 1.0)
    lines.show(stages("failing"), snapshot, 2.0)
    assert len(told) == 1
    assert "did not come up" in told[0]
    lines.show(stages("done"), snapshot, 11.0)
    text = "\n".join(told)
    assert "broker       done" in text
    assert "Kafka lag 5" in text
    assert "BTC-USDT   12:00 close 101.00 (+1.00 %)" in text
    before = len(told)
    lines.show(stages("done"), snapshot, 12.0)
    assert len(told) == before


def test_a_stage_that_fails_after_it_was_done_recovers() -> None:
    clock = iter([5.0, 9.0])
    found = Stages([Stage("market", "simulated")], lambda: next(clock))
    found.note("market", "done")
    found.note("market", "failing", "it fell")
    assert not found.over
    found.note("market", "done")
    assert found["market"].done_at_s == 5.0, "when it was first up"
    assert found["market"].detail == ""


def test_offsets_are_those_of_the_last_committed_batch(tmp_path: Path) -> None:
    assert committed_offsets(tmp_path) == {}
    for folder in ("offsets", "commits"):
        (tmp_path / folder).mkdir()
    (tmp_path / "offsets" / "9").write_text('v1\n{"x":1}\n{"binance.trade":{"0":90,"1":91}}')
    (tmp_path / "offsets" / "10").write_text('v1\n{"x":1}\n{"binance.trade":{"0":100,"1":101}}')
    (tmp_path / "offsets" / "11").write_text('v1\n{"x":1}\n{"binance.trade":{"0":110,"1":111}}')
    for batch in ("9", "10"):
        (tmp_path / "commits" / batch).write_text("v1\n{}")
    assert committed_offsets(tmp_path) == {("binance.trade", 0): 100, ("binance.trade", 1): 101}
