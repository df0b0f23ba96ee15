"""`cryptolake quality` on small lakes: what it prints, keeps and shows, and that hostile data stay text."""

from __future__ import annotations

import datetime as dt
import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from deltalake import DeltaTable
from lake_by_hand import START_US, HandLake
from pyspark.sql import SparkSession
from rich.console import Console

from cryptolake.quality.check import Check, QualityCheck, QualityRun, TableCheck
from cryptolake.quality.console import print_table
from cryptolake.quality.report import page
from cryptolake.quality.results import keep
from lakehouse.errors import CryptolakeError, LakeLockedError
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from silver.rules import load_rules
from silver.tables import QUALITY_RESULTS, TRADES

SCRIPT = "<script>document.title='owned'</script>"
IMAGE = '"><img src=x onerror="document.title=\'owned\'">'
HOSTILE = (SCRIPT, IMAGE, "</style></code>'&lt;", "{{7*7}}", "\x1b[31m\u202e\x00")
# Runs a command line and tells on standard error of every socket and every process (a JVM is one).
WATCHED = """
import sys
from cryptolake import cli
seen = []
watched = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen")
sys.addaudithook(lambda event, details: seen.append((event, str(details))) if event in watched else None)
code = cli.execute(sys.argv[1:])
print("SEEN", seen, file=sys.stderr)
sys.exit(code)
"""


def fill(settings: Settings, trades: int = 20) -> HandLake:
    lake = HandLake(settings.home)
    for n in range(trades):
        us = START_US + n * 1_000_000
        lake.trade(1000 + n, "54000.5", "0.01", us, received_us=us + 40_000)
    lake.gap(START_US, START_US + 5_000_000)
    lake.aggregate()
    return lake


def kept(settings: Settings) -> DeltaTable:
    return DeltaTable(str(settings.home / "lake" / "silver" / "quality_results"))


def one_run(*checks: Check, rows: int = 5) -> QualityRun:
    time = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
    table = TableCheck("silver.trades", rows, time if rows else None, time if rows else None, False, checks)
    return QualityRun("01RUN", time, 10, "1", (table,))


CHECK = Check("silver.trades", "price_range", "price > 0", "expect_x", "non_positive", "reject", 5, 0, ())
BROKEN = replace(CHECK, unexpected=1, examples=("venue=binance, price=0",))


class Seen(HTMLParser):
    """What a browser would see: tags, attributes, text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(text: str) -> Seen:
    parser = Seen()
    parser.feed(text)
    return parser


def test_the_command_fails_on_a_broken_rule_without_jvm_or_network_and_hostile_data_stay_text(
    settings: Settings, tmp_path: Path
) -> None:
    lake = fill(settings)
    lake.trades[3]["symbol"] = SCRIPT
    lake.trades[4]["symbol"] = IMAGE
    lake.trades[5]["side"] = "\x1b[31m"
    lake.trades[6]["received_at"] = lake.trades[6]["event_time"] - dt.timedelta(seconds=6)
    lake.trades[7]["price"] = Decimal(0)
    lake.rows["silver.gaps"][0]["status"] = "<b>lost</b>"
    lake.quarantine(lake.frame("{"), "truncated")
    lake.quarantine(lake.frame("["), "truncated")["payload"] = None
    lake.write()
    report = tmp_path / "report" / "quality.html"
    environment = {key: value for key, value in os.environ.items() if key != "GX_ANALYTICS_ENABLED"}
    arguments = ("--home", str(settings.home), "quality", "--format", "json", "--report", str(report))
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=environment,
    )
    assert done.returncode == 1, done.stderr
    assert "SEEN []" in done.stderr
    checks = [json.loads(line) for line in done.stdout.splitlines()]
    outcomes = {(c["table"], c["rule"]): (c["outcome"], c["rows"], c["unexpected"]) for c in checks if c["unexpected"]}
    assert outcomes == {
        ("silver.trades", "symbol_form"): ("failed", 20, 2),
        ("silver.trades", "side_known"): ("failed", 20, 1),
        ("silver.trades", "clock_skew"): ("warned", 20, 1),
        ("silver.trades", "price_range"): ("failed", 20, 1),
        ("silver.gaps", "status_known"): ("failed", 1, 1),
        ("silver.quarantine", "payload_present"): ("failed", 2, 1),
    }
    examples = {c["rule"]: c["examples"] for c in checks if c["table"] == "silver.trades"}
    assert examples["price_range"] == ["venue=binance, symbol=BTC-USDT, trade_key=1007, price=0"]
    assert examples["side_known"] == [r"venue=binance, symbol=BTC-USDT, trade_key=1005, side=\x1b[31m"]
    rows = kept(settings).to_pyarrow_table().to_pylist()
    assert len(rows) == len(checks)
    assert {(r["table_name"], r["rule"]) for r in rows if r["outcome"] == "failed"} == {
        key for key, (outcome, _, _) in outcomes.items() if outcome == "failed"
    }
    assert_harmless(report, SCRIPT, IMAGE, "<b>lost</b>")


def assert_harmless(report: Path, *hostile: str) -> None:
    text = report.read_text(encoding="utf-8")
    page_seen = seen(text)
    assert not page_seen.tags & {"script", "img", "b", "iframe", "link", "form"}
    assert not [name for name in page_seen.attributes if name.startswith("on") or name in ("style", "src", "href")]
    for each in hostile:
        assert each in page_seen.text
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    if browser := shutil.which("chromium"):
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --dump-dom"
        profile = f"--user-data-dir={report.parent / 'profile'}"
        shown = subprocess.run(
            [browser, *flags.split(), profile, report.as_uri()],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        ).stdout
        assert "<title>owned" not in shown
        assert "<title>Quality of silver" in shown


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_place_of_the_page_lets_data_through(hostile: str) -> None:
    check = replace(
        BROKEN, table=hostile, rule=hostile, meaning=hostile, expectation=hostile, reason=hostile, examples=(hostile,)
    )
    run = one_run(check)
    table = replace(run.tables[0], table=hostile)
    hostile_page = page(replace(run, rule_version=hostile, run_id=hostile, tables=(table,)))
    good = seen(page(one_run(BROKEN)))
    found = seen(hostile_page)
    assert found.tags == good.tags
    assert found.attributes == good.attributes
    assert found.text.count(hostile) == 12


def test_the_page_says_when_all_is_well_and_when_there_is_nothing() -> None:
    assert "All 1 checks passed" in page(one_run(CHECK))
    assert "1 of 1 checks failed" in page(one_run(BROKEN))
    assert "None of 1 checks failed, 1 warned" in page(one_run(replace(BROKEN, severity="warn")))
    nothing = page(one_run(replace(CHECK, rows=0), rows=0))
    assert "No rows to check yet" in nothing
    assert "✓" not in nothing.split("<details")[0]


def test_the_newest_minutes_are_those_of_the_table_and_a_null_time_is_never_overlooked(settings: Settings) -> None:
    lake = fill(settings)
    lake.trades[0]["received_at"] -= dt.timedelta(minutes=30)
    lake.trades[1]["received_at"] = None
    lake.trades[0]["price"] = Decimal(0)
    lake.write()
    check = QualityCheck(settings, load_rules())
    trades = next(table for table in check.run(minutes=1).tables if table.table == TRADES.name)
    assert {c.rule for c in trades.checks if c.unexpected} == {"received_at_present"}
    assert (trades.rows, trades.limited) == (19, False)
    trades = next(table for table in check.run(minutes=60).tables if table.table == TRADES.name)
    assert {c.rule for c in trades.checks if c.unexpected} == {"received_at_present", "price_range", "clock_skew"}
    few = settings.model_copy(update={"quality": settings.quality.model_copy(update={"max_rows": 4})})
    trades = next(table for table in QualityCheck(few, load_rules()).run().tables if table.table == TRADES.name)
    assert (trades.rows, trades.limited) == (4, True)


def test_a_home_without_tables_says_so(settings: Settings) -> None:
    with pytest.raises(CryptolakeError, match="nothing to check"):
        QualityCheck(settings, load_rules()).run()


def test_every_check_is_one_commit_and_many_files_become_one(settings: Settings) -> None:
    few = settings.model_copy(update={"quality": settings.quality.model_copy(update={"files_kept": 3})})
    for turn in range(3):
        keep(replace(one_run(BROKEN), run_id=f"R{turn}"), few)
        assert kept(few).version() == turn + 1
    keep(replace(one_run(BROKEN), run_id="R3"), few)
    assert len(kept(few).file_uris()) == 1
    rows = kept(few).to_pyarrow_table().to_pylist()
    assert sorted(row["run_id"] for row in rows) == ["R0", "R1", "R2", "R3"]
    assert rows[0]["examples"] == ["venue=binance, price=0"]


def test_two_checks_do_not_write_at_once(settings: Settings) -> None:
    hasty = settings.model_copy(update={"quality": settings.quality.model_copy(update={"lock_timeout_s": 0.2})})
    keep(one_run(CHECK), hasty)
    with (settings.home / "lake" / "silver" / ".quality_results.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LakeLockedError, match="Another check"):
            keep(one_run(CHECK), hasty)
    keep(one_run(CHECK), hasty)
    assert kept(hasty).version() == 2


def test_results_are_kept_in_the_table_that_the_owner_of_the_lake_made(lake: Lake, spark: SparkSession) -> None:
    lake.create(QUALITY_RESULTS)
    keep(one_run(BROKEN, CHECK), lake.settings)
    rows = lake.read(QUALITY_RESULTS).select("outcome", "rows_unexpected", "examples").collect()
    assert sorted(map(tuple, rows)) == [("failed", 1, ["venue=binance, price=0"]), ("passed", 0, [])]
    assert QUALITY_RESULTS.differences(lake.read(QUALITY_RESULTS)) == []


def test_the_table_made_here_is_the_one_that_the_contract_names(lake: Lake, spark: SparkSession) -> None:
    keep(one_run(BROKEN), lake.settings)
    lake.create(QUALITY_RESULTS)
    assert QUALITY_RESULTS.differences(lake.read(QUALITY_RESULTS)) == []
    described = spark.sql(f"DESCRIBE TABLE {lake.identifier(QUALITY_RESULTS)}").collect()
    comments = {row["col_name"]: row["comment"] for row in described}
    assert comments["run_id"] == "names the check (ULID)"


def test_data_are_no_markup_on_the_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=False)
    print_table(one_run(replace(BROKEN, examples=("symbol=[red]A[/red]",), severity="warn")), console)
    assert "warned silver.trades price_range: 1 of 5 rows break price > 0" in out.getvalue()
    assert "symbol=[red]A[/red]" in out.getvalue()
