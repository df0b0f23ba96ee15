"""What the console shows, read from tables and status files only; a table is read again when it has changed."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from bronze.venues import SOURCES
from cryptolake.run_files import read_json, run_file
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from cryptolake.reader import Rows

T = TypeVar("T")

BARS, TRENDS = "silver.one_minute_bars", "silver.six_minute_trends"
GAPS = "silver.gaps"
PREDICTIONS, SCORES = "gold.predictions", "gold.model_scores"
COUNTED = (
    "bronze.frames",
    "silver.trades",
    "silver.candles",
    "silver.tickers",
    "silver.prices",
    "silver.quarantine",
    GAPS,
    BARS,
    TRENDS,
    PREDICTIONS,
)
_VENUE = "binance"
_MINUTES_BACK = 10
_SCORED_HOURS = 24


@dataclass(frozen=True)
class BarLine:
    """The last bar of a symbol beside the one before it and its six-minute trend."""

    symbol: str
    minute: dt.datetime
    close: Decimal
    change_pct: float | None
    trend_pct: Decimal | None
    volume: Decimal
    amount: Decimal
    trades: int


@dataclass(frozen=True)
class PredictionLine:
    """The last prediction of a symbol, and the last one of it that has matured."""

    symbol: str
    feature_time: dt.datetime
    target_time: dt.datetime
    direction: str
    probability: float
    price: Decimal
    last_outcome: bool | None


@dataclass(frozen=True)
class Score:
    """How often matured predictions were right, beside baselines on the same rows."""

    n: int
    pending: int
    model: float | None
    majority: float | None
    last_direction: float | None


@dataclass(frozen=True)
class TableLine:
    """How much a table holds."""

    name: str
    rows: int
    version: int


@dataclass(frozen=True)
class SourceLine:
    """What a collector tells of its source: frames since it was started, and when the last one came."""

    name: str
    frames: int
    age_s: float | None
    connected: bool


@dataclass(frozen=True)
class Snapshot:
    """All that the console shows of the lake at one moment."""

    frames_per_s: float | None = None
    batch_s: float | None = None
    unacked: int | None = None
    lag: int | None = None
    data_age_s: float | None = None
    open_gaps: int = 0
    bars: tuple[BarLine, ...] = ()
    live_bars: int = 0
    candle_bars: int = 0
    predictions: tuple[PredictionLine, ...] = ()
    score: Score | None = None
    test_scores: dict[str, dict[str, float]] = field(default_factory=dict)
    tables: tuple[TableLine, ...] = ()
    sources: tuple[SourceLine, ...] = ()

    def rows_of(self, table: str) -> int:
        """How many rows a table holds."""
        return next((line.rows for line in self.tables if line.name == table), 0)


class SnapshotReader:
    """Makes snapshots, reading only what has changed.

    Args:
        settings: the home.
    """

    def __init__(self, settings: Settings) -> None:
        from cryptolake.reader import LakeReader  # Arrow: as long as all else of the demo, which starts processes first

        self._settings = settings
        self._reader = LakeReader(settings)
        self._kept: dict[str, tuple[object, Any]] = {}

    def read(self, lag: int | None) -> Snapshot:
        """Look at the lake now."""
        status = read_json(run_file(self._settings, "lake"))
        told = {source: read_json(run_file(self._settings, f"collector-{source}")) for source in SOURCES}
        counts = [count for each in told.values() if (count := each.get("unacked")) is not None]
        bars = self._when_changed("bars", self._bars, BARS, TRENDS) or ()
        kinds = self._when_changed("kinds", self._bar_kinds, BARS) or {}
        return Snapshot(
            frames_per_s=status.get("rows_per_s"),
            batch_s=status.get("batch_s"),
            unacked=sum(counts) if counts else None,
            lag=lag,
            data_age_s=self._data_age_s(),
            open_gaps=self._when_changed("open gaps", self._open_gaps, GAPS) or 0,
            bars=bars,
            live_bars=kinds.get("trades", 0),
            candle_bars=kinds.get("klines", 0),
            predictions=self._when_changed("predictions", self._predictions, PREDICTIONS) or (),
            score=self._when_changed("score", self._score, PREDICTIONS),
            test_scores=self._when_changed("scores", self._test_scores, SCORES) or {},
            tables=tuple(line for name in COUNTED if (line := self._table(name)) is not None),
            sources=tuple(_source_line(source, each) for source, each in told.items() if each),
        )

    def _when_changed(self, what: str, read: Callable[[], T], *tables: str) -> T | None:
        versions = tuple(self._reader.version(table) for table in tables)
        if versions[0] is None:
            return None
        kept = self._kept.get(what)
        if kept is None or kept[0] != versions:
            kept = self._kept[what] = (versions, read())
        found: T = kept[1]
        return found

    def _table(self, name: str) -> TableLine | None:
        version = self._reader.version(name)
        rows = self._when_changed(f"count {name}", lambda: self._reader.row_count(name), name)
        return None if version is None else TableLine(name, rows or 0, version)

    def _data_age_s(self) -> float | None:
        table = "silver.trades"
        newest = self._when_changed("newest trade", lambda: self._reader.greatest(table, "event_time"), table)
        return None if newest is None else time.time() - newest.timestamp()

    def _open_gaps(self) -> int:
        return len(self._reader.rows_where(GAPS, ("status",), [("status", "=", "open")]))

    def _bars(self) -> tuple[BarLine, ...]:
        newest = self._reader.greatest(BARS, "minute")
        if newest is None:
            return ()
        since = _sql_time(newest - dt.timedelta(minutes=_MINUTES_BACK))
        rows = self._reader.rows(
            f"SELECT symbol, minute, close, volume, amount, trade_count FROM bars"  # noqa: S608 - our own literals
            f" WHERE venue = '{_VENUE}' AND minute >= {since} ORDER BY minute",
            bars=BARS,
        )
        trends = self._reader.rows(
            f"SELECT symbol, minute, change_pct FROM trends"  # noqa: S608 - our own literals
            f" WHERE venue = '{_VENUE}' AND minute >= {since}",
            trends=TRENDS,
        )
        return _bar_lines(rows, {(row["symbol"], row["minute"]): row["change_pct"] for row in trends})

    def _bar_kinds(self) -> dict[str, int]:
        rows = self._reader.rows("SELECT origin, count(*) AS n FROM bars GROUP BY origin", bars=BARS)
        return {row["origin"]: row["n"] for row in rows}

    def _predictions(self) -> tuple[PredictionLine, ...]:
        newest = self._reader.greatest(PREDICTIONS, "feature_time")
        if newest is None:
            return ()
        since = _sql_time(newest - dt.timedelta(minutes=_MINUTES_BACK + 10))
        rows = self._reader.rows(
            "SELECT symbol, feature_time, target_time, direction, probability, price, correct, label_status"  # noqa: S608
            f" FROM predictions WHERE venue = '{_VENUE}' AND feature_time >= {since}"
            " AND model_role = 'champion' ORDER BY feature_time",
            predictions=PREDICTIONS,
        )
        return _prediction_lines(rows)

    def _score(self) -> Score:
        since = _sql_time(dt.datetime.now(dt.UTC) - dt.timedelta(hours=_SCORED_HOURS))
        # A baseline is right where it said what the model said and that was right, or neither.
        rows = self._reader.rows(
            "SELECT count(correct) AS n, count(*) FILTER (WHERE label_status = 'pending') AS pending,"  # noqa: S608
            " avg(CASE WHEN correct THEN 1.0 WHEN NOT correct THEN 0.0 END) AS model,"
            " avg(CASE WHEN correct = (baseline_majority = direction) THEN 1.0"
            " WHEN correct IS NOT NULL THEN 0.0 END) AS majority,"
            " avg(CASE WHEN correct = (baseline_last_direction = direction) THEN 1.0"
            " WHEN correct IS NOT NULL THEN 0.0 END) AS last_direction"
            f" FROM predictions WHERE model_role = 'champion' AND label_status <> 'backfilled'"
            f" AND feature_time >= {since}",
            predictions=PREDICTIONS,
        )
        return Score(**rows[0]) if rows else Score(0, 0, None, None, None)

    def _test_scores(self) -> dict[str, dict[str, float]]:
        rows = self._reader.rows(
            "SELECT metric, value, baseline_majority, baseline_last_direction FROM scores"
            " WHERE split = 'test' AND venue = '*' AND symbol = '*' ORDER BY scored_at",
            scores=SCORES,
        )
        return {row.pop("metric"): row for row in rows}


def _bar_lines(rows: Rows, trends: dict[tuple[str, dt.datetime], Decimal | None]) -> tuple[BarLine, ...]:
    last: dict[str, dict[str, Any]] = {}
    before: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["symbol"] in last:
            before[row["symbol"]] = last[row["symbol"]]
        last[row["symbol"]] = row
    lines = []
    for symbol, row in last.items():
        previous = before.get(symbol)
        change = None if previous is None else float(row["close"] / previous["close"] - 1) * 100
        figures = (row["volume"], row["amount"], row["trade_count"])
        trend = trends.get((symbol, row["minute"]))
        lines.append(BarLine(symbol, row["minute"], row["close"], change, trend, *figures))
    return tuple(sorted(lines, key=lambda line: -line.amount))


def _prediction_lines(rows: Rows) -> tuple[PredictionLine, ...]:
    last: dict[str, dict[str, Any]] = {}
    outcome: dict[str, bool] = {}
    for row in rows:
        last[row["symbol"]] = row
        if row["label_status"] == "matured" and row["correct"] is not None:
            outcome[row["symbol"]] = row["correct"]
    return tuple(
        PredictionLine(
            symbol,
            row["feature_time"],
            row["target_time"],
            row["direction"],
            row["probability"],
            row["price"],
            outcome.get(symbol),
        )
        for symbol, row in last.items()
    )


def _source_line(source: str, told: dict[str, Any]) -> SourceLine:
    at_us = told.get("last_frame_at_us")
    age_s = None if at_us is None else max(0.0, time.time() - at_us / 1_000_000)
    return SourceLine(source, told.get("frames") or 0, age_s, bool(told.get("connected")))


def _sql_time(value: dt.datetime) -> str:
    return f"to_timestamp_micros({int(value.timestamp() * 1_000_000)})"
