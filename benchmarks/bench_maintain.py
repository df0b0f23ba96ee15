"""Whether upkeep keeps tables fast for months: python -m benchmarks.bench_maintain commits, or day.

commits: 300 appends by Spark to each of three tables of 1,000, 10,000 and 45,000 commits of history, in turn, which are
tended as they grow and meanwhile, as the owner of the lake does it. Their p99 must not grow. Then the same to a table
of 45,000 commits that never was tended: later, as its 45,000 files fill the memory that all of them share.
day: a table that gets a commit every 1.65 s, 52,364 a day, run so many times faster, with the times of the upkeep
shortened alike; it ends after --minutes, and says how far it came. What there is of files and bytes must not grow.

Rows and marks are counted before anything is printed. Results are printed, and written to benchmarks/results/.
CRYPTOLAKE__SPARK__JAVA_OPTIONS=-XX:ReservedCodeCacheSize=240m gives the JVM both of its compilers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from pyspark.sql import SparkSession

from benchmarks.grown_lakes import COMMIT_EVERY_S, STEP, consumed, copied, grow, kept_for, trades
from benchmarks.result_files import Result, check_rows, write_result
from cryptolake.upkeep import Upkeep, tend
from lakehouse.lake import Lake, Txn
from lakehouse.maintenance.grouping import Worth
from lakehouse.maintenance.tending import Tending
from lakehouse.session import spark_session
from lakehouse.settings import Settings, load_settings
from silver.tables import SIX_MINUTE_TRENDS, TRADES

HISTORIES = (1_000, 10_000, 45_000)
WARM, TIMED = 10, 300
HISTORY_ROWS, BATCH_ROWS = 20, 200
NEVER_TENDED = f"{HISTORIES[-1]} commits, never tended"
COMMITS_A_DAY = 52_364
DAY_ROWS = 20
SAMPLE_EVERY = 500


def main() -> None:
    """Run one part, on a lake of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_maintain")
    parser.add_argument("part", choices=("commits", "day"))
    parser.add_argument("--minutes", type=float, default=3, help="of wall time, for the day")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder) / "home")
        write_result(
            f"maintain_{given.part}", _day(settings, given.minutes) if given.part == "day" else _by_spark(settings)
        )


def _by_spark(settings: Settings) -> Result:
    spark = spark_session(settings)
    try:
        return _commits(spark, settings)
    finally:
        spark.stop()


def _commits(spark: SparkSession, settings: Settings) -> Result:
    lakes = _grown(spark, settings)
    sizes = {name: {"grown": _size(lake)} for name, lake in lakes.items()}
    keepers = {name: Upkeep(lake, nullcontext, lambda: None) for name, lake in lakes.items() if name != NEVER_TENDED}
    took_s: dict[str, list[float]] = {name: [] for name in lakes}
    for turn in range(WARM + TIMED):
        for name, keeper in keepers.items():
            took_s[name].append(_spark_commit(lakes[name], turn))
            keeper.advance()
    took_s[NEVER_TENDED] = [_spark_commit(lakes[NEVER_TENDED], turn) for turn in range(WARM + TIMED)]
    for name, lake in lakes.items():
        _check(lake, int(name.split()[0]) * HISTORY_ROWS + (WARM + TIMED) * BATCH_ROWS, WARM + TIMED)
        sizes[name]["at the end"] = _size(lake)
    figures = {name: _quantiles(seconds[WARM:]) for name, seconds in took_s.items()}
    base = figures[f"{HISTORIES[0]} commits"]["p99_s"]
    print(f"{os.cpu_count()} cores; {TIMED} appends of {BATCH_ROWS} rows by Spark to each table, in turn, s")
    for name, of_one in figures.items():
        of_one["p99_to_first"] = round(of_one["p99_s"] / base, 2)
        print(f"{name:>28}: p50 {of_one['p50_s']:.3f}, p99 {of_one['p99_s']:.3f} ({of_one['p99_to_first']:.2f}x)"
              f"; log files {sizes[name]['grown']['log_files']:,} -> {sizes[name]['at the end']['log_files']:,}"
              f", files {sizes[name]['grown']['files']:,} -> {sizes[name]['at the end']['files']:,}")  # fmt: skip
    return {"commits": figures, "sizes": sizes}


def _grown(spark: SparkSession, settings: Settings) -> dict[str, Lake]:
    """The tables: one history that is tended as it grows, copied when it has come so far, and one that never is."""
    lake, lakes = Lake(spark, settings), dict[str, Lake]()
    lake.create(TRADES, SIX_MINUTE_TRENDS)

    def tended(commits: int) -> None:
        consumed(lake)
        for _ in tend(lake, TRADES, nullcontext, Worth.by_and_by):
            pass
        if commits in HISTORIES:
            other = lakes[f"{commits} commits"] = copied(lake, settings.home.parent / f"h{commits}")
            other.create(SIX_MINUTE_TRENDS)
            consumed(other)

    grow(lake, HISTORIES[-1], HISTORY_ROWS, tended)
    never = Lake(spark, settings.model_copy(update={"home": settings.home.parent / "never"}))
    never.create(TRADES)
    grow(never, HISTORIES[-1], HISTORY_ROWS)
    return lakes | {NEVER_TENDED: never}


def _spark_commit(lake: Lake, turn: int) -> float:
    rows = lake.spark.createDataFrame(trades(1_000_000 + turn, BATCH_ROWS)).coalesce(1)
    began_s = time.perf_counter()
    lake.append(TRADES, rows, Txn("bench", turn + 1))
    return time.perf_counter() - began_s


def _day(settings: Settings, minutes: float) -> Result:
    lake, seconds_a_commit = _warmed(settings)
    faster = COMMIT_EVERY_S / seconds_a_commit
    limits = settings.maintenance
    shortened = {"keep_log_s": limits.keep_log_s / faster, "keep_files_s": limits.keep_files_s / faster}
    lake = Lake(lake.spark, kept_for(lake.settings, **shortened))
    lake.create(SIX_MINUTE_TRENDS)
    waits_s: list[float] = []
    keeper = Upkeep(lake, lambda: _held(waits_s), lambda: None)
    first, deadline_s = lake.version(TRADES), time.monotonic() + minutes * 60
    commits, samples, took_s = 0, list[Result](), list[float]()
    while commits < COMMITS_A_DAY and time.monotonic() < deadline_s:
        began_s = time.perf_counter()
        lake.append_rows(TRADES, trades(first + commits, DAY_ROWS), Txn(STEP, first + commits + 1))
        took_s.append(time.perf_counter() - began_s)
        commits += 1
        if commits % 20 == 0:
            consumed(lake)
            keeper.advance()
        if commits % SAMPLE_EVERY == 0:
            samples.append({"commits": commits, **_size(lake), **_quantiles(took_s[-SAMPLE_EVERY:])})
    _check(lake, (first + commits) * DAY_ROWS, first + commits, STEP)
    return _day_told(commits, faster, samples, waits_s)


def _warmed(settings: Settings) -> tuple[Lake, float]:
    """A lake that has some commits, and how long one takes."""
    lake = Lake(None, settings)  # type: ignore[arg-type] # delta-rs does it all
    lake.create(TRADES)
    for number in range(200):
        if number == 50:
            began_s = time.perf_counter()
        lake.append_rows(TRADES, trades(number, DAY_ROWS), Txn(STEP, number + 1))
    return lake, (time.perf_counter() - began_s) / 150


@contextmanager
def _held(waits_s: list[float]) -> Iterator[None]:
    began_s = time.perf_counter()
    yield
    waits_s.append(time.perf_counter() - began_s)


def _day_told(commits: int, faster: float, samples: list[Result], waits_s: list[float]) -> Result:
    share = commits / COMMITS_A_DAY
    print(f"{os.cpu_count()} cores; {commits:,} of a day's {COMMITS_A_DAY:,} commits of {DAY_ROWS} rows ({share:.0%}), "
          f"{faster:.0f} times faster than they come, hours of upkeep shortened alike")  # fmt: skip
    print(f"{'commits':>8} {'log files':>9} {'log MB':>7} {'files':>6} {'on disk':>8} {'append p50':>10} {'p99 ms':>7}")
    for one in samples[:: max(1, len(samples) // 16)]:
        print(f"{one['commits']:8,} {one['log_files']:9,} {one['log_bytes'] / 1e6:7.1f} {one['files']:6,}"
              f" {one['disk_files']:8,} {one['p50_s'] * 1000:10.1f} {one['p99_s'] * 1000:7.1f}")  # fmt: skip
    half = len(samples) // 2
    most = {
        which: {name: max(one[name] for one in some) for name in ("log_files", "log_bytes", "files", "disk_files")}
        for which, some in (("first half", samples[:half]), ("second half", samples[half:]))
    }
    held = {**_quantiles(waits_s), "max_s": round(max(waits_s), 4), "times": len(waits_s)}
    for which, of_half in most.items():
        print(f"most in the {which}: {of_half}")
    waits = ", ".join(f"{name[:-2]} {held[name] * 1000:.1f} ms" for name in ("p50_s", "p99_s", "max_s"))
    print(f"batches kept out {held['times']} times: {waits}")
    told = {"commits": commits, "of_a_day": round(share, 3), "faster": round(faster)}
    return told | {"most": most, "held": held, "samples": samples}


def _size(lake: Lake) -> dict[str, int]:
    footprint = Tending(lake, TRADES, nullcontext, lambda: 0).footprint()
    return {
        name: getattr(footprint, name)
        for name in ("files", "file_bytes", "disk_files", "disk_bytes", "log_files", "log_bytes")
    }


def _check(lake: Lake, rows: int, mark: int, app_id: str = "bench") -> None:
    check_rows(lake, TRADES, rows)
    found = Lake(lake.spark, lake.settings).mark(TRADES, app_id)
    if found != mark:
        sys.exit(f"wrong: the mark is {found}, not {mark}")


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    places = {"p50_s": len(ordered) // 2, "p99_s": max(0, round(0.99 * len(ordered)) - 1)}
    return {name: round(ordered[place], 4) for name, place in places.items()}


if __name__ == "__main__":
    main()
