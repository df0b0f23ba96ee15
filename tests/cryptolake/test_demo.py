"""The whole way, as a newcomer goes it: the demo on an empty home, and once more on the same one."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cryptolake.process_id import ProcessId
from cryptolake.processes import stop_home
from cryptolake.requests import lake_owned
from cryptolake.run_files import read_json
from cryptolake.waiting import wait_until
from lakehouse.settings import load_settings

# On two quiet cores the first start takes 90 s; a machine that does other things may take several times that.
FIRST_S, SECOND_S, STOP_S = 1200, 900, 15
STAGES = (
    "market",
    "broker",
    "collectors",
    "lake",
    "candles",
    "bars",
    "model",
    "live minute",
    "predictions",
    "more sources",
)
SOURCES = {
    *("binance trades", "bybit trades", "coincap trades"),
    *("binance tickers", "coingecko prices", "coincap prices"),
}


class Demo:
    """A demo as a process that leads its own process group, as in a terminal, and its lines."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lines: list[str] = []
        command = [sys.executable, "-m", "cryptolake", "--home", str(home), "demo"]
        # One day of candles and five trees are learnt as two and twenty are, and take a part of the time.
        shorter = {**os.environ, "CRYPTOLAKE__DEMO__BACKFILL_DAYS": "1", "CRYPTOLAKE__ML__TREES": "5"}
        self.process = subprocess.Popen(
            command, env=shorter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def state(self, stage: str) -> str | None:
        """What the last line about a stage said: done, skipped or failing."""
        found = re.findall(rf"^\[ *[\d.]+ s\] {stage} +(done|skipped|failing)", self.text, re.MULTILINE)
        return found[-1] if found else None

    def ready(self) -> bool:
        assert self.process.poll() is None, self.text
        return all(self.state(stage) in ("done", "skipped") for stage in STAGES)

    def processes(self) -> list[ProcessId]:
        """Every process of this home: those that name it on their command line."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            identity = ProcessId.of(int(folder.name))
            if str(self.home) in command and identity is not None:
                found.append(identity)
        return found

    def ports(self) -> list[int]:
        """The ports of broker and market."""
        told = [read_json(self.home / "run" / f"{name}.json") for name in ("broker", "simulator")]
        return [int(told[0]["bootstrap_servers"].rpartition(":")[2]), int(told[1]["port"])]

    def ctrl_c(self) -> int:
        """Press Ctrl-C in its terminal: the whole process group is told."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(STOP_S)
        self._reader.join(5)
        return code

    def kill_all(self) -> None:
        """For the end of a test that failed: every process of this home, by its id."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        stop_home(load_settings(home=self.home))
        if not wait_until(lambda: not self.processes(), 20):
            for left in self.processes():
                os.kill(left.pid, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def sql(home: Path, query: str) -> list[dict[str, str]]:
    command = [sys.executable, "-m", "cryptolake", "--home", str(home), "sql", query, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
    return [json.loads(line) for line in done.stdout.splitlines()]


def trades(home: Path) -> tuple[int, str]:
    """How many trades silver holds, and when the last of them was."""
    row = sql(home, "SELECT count(*) AS n, max(event_time) AS last FROM silver.trades")[0]
    return int(row["n"]), row["last"]


def flowing(home: Path) -> set[str]:
    """Which sources have rows in silver."""
    tables = ("trades", "prices", "tickers")
    query = " UNION ".join(f"SELECT '{table}' AS held, venue FROM silver.{table}" for table in tables)  # noqa: S608
    return {f"{row['venue'].partition('-')[0]} {row['held']}" for row in sql(home, query)}


def closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.long
@pytest.mark.timeout(FIRST_S + SECOND_S + 1800)
def test_a_newcomer_sees_bars_and_predictions_and_goes_on_where_he_stopped(home: Path) -> None:
    settings = load_settings(home=home)
    first = Demo(home)
    try:
        assert wait_until(first.ready, FIRST_S, 0.5), first.text
        assert "SIMULATED" in first.text
        assert "not financial advice" in first.text
        assert [first.state(stage) for stage in STAGES] == ["done"] * len(STAGES)
        assert json.loads((home / "home.json").read_text()) == {"kind": "simulated"}
        ports, processes = first.ports(), first.processes()
        assert len(processes) >= 7, "console, broker and its JVM, lake and its JVM, collectors, market"
        refused = subprocess.run(
            [sys.executable, "-m", "cryptolake", "--home", str(home), "up"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert refused.returncode == 1
        assert "runs already" in refused.stderr

        assert first.ctrl_c() == 0

        assert first.processes() == []
        assert all(closed(port) for port in ports)
        assert not lake_owned(settings)
        assert sorted(path.name for path in (home / "run").glob("*.json")) == []
    finally:
        first.kill_all()

    kept = trades(home)
    models = sql(home, "SELECT DISTINCT model_version FROM gold.model_scores")
    assert kept[0] > 0
    assert len(models) == 1

    second = Demo(home)
    try:
        assert wait_until(second.ready, SECOND_S, 0.5), second.text
        for stage in ("candles", "bars", "model"):
            assert second.state(stage) == "skipped", second.text
        # ready means that the tables are there; the first batch of the second run may come a moment later
        assert wait_until(lambda: trades(home)[0] > kept[0], SECOND_S, 1), second.text
        assert trades(home)[1] > kept[1]
        assert wait_until(lambda: flowing(home) == SOURCES, SECOND_S, 2), flowing(home)
        assert sql(home, "SELECT DISTINCT model_version FROM gold.model_scores") == models, "not trained again"
        assert second.ctrl_c() == 0
        assert second.processes() == []
    finally:
        second.kill_all()

    ledger = str(home / "simulator" / "ledger.jsonl")
    subprocess.run(
        [sys.executable, "-m", "cryptolake", "--home", str(home), "run", "--until-idle"], check=True, timeout=900
    )
    audit = [sys.executable, "-m", "cryptolake", "--home", str(home), "audit", "--ledger", ledger]
    done = subprocess.run(audit, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout
