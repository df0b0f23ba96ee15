"""Kill -9 of every process, at random and between every two writes of a batch: the audit must not find a trace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from experiments import WHOLE as OF_THE_MATRIX
from experiments import Experiment
from simulator_process import SimulatorProcess, simulated_urls

from bronze.venues import SOURCES
from cryptolake.audit.run import audit
from cryptolake.broker.local import LocalBroker, running_broker
from cryptolake.run_files import read_json
from cryptolake.waiting import wait_until
from lakehouse.settings import Settings, load_settings

REPO_ROOT = Path(__file__).resolve().parents[2]
# Where a write of a batch is done and the next is not; the order is that of the writes.
BETWEEN_WRITES = (
    "after_bronze_commit",
    "after_gaps_commit",
    "after_candles_commit",
    "after_tickers_commit",
    "after_prices_commit",
    "after_symbols_commit",
    "after_quarantine_commit",
    "after_silver_commit",
    "after_bars_commit",
    "after_trends_commit",
    "after_five_minute_bars_commit",
)
IN_UPKEEP = ("after_compacted_file", "after_compaction_commit", "after_log_cut", "after_files_deleted")
BETWEEN_PREDICTIONS = ("after_predictions_commit", "after_labels_commit")
# `make kills` goes through all points and kills every victim three times, which takes 25 minutes; with "some", as in
# `make experiments`, a few points are drawn and every victim is killed once. It is too long for `make test`.
ASKED_FOR = os.environ.get("CRYPTOLAKE_TEST_KILLS", "some" if OF_THE_MATRIX else "")
WHOLE = ASKED_FOR == "all"
KILLS = 3 if WHOLE else 1
RATE = 1000 if WHOLE else 200  # trades/s
MARKET_FAULTS = "cut_every_s=10,duplicate_share=0.01,reorder_share=0.01,malformed_share=0.002"


@dataclass
class Process:
    """One process of the pipeline, started again by the test as a supervisor would."""

    arguments: list[str]
    environment: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None
    starts: int = 0
    fault: str = ""
    deaths: list[str] = field(default_factory=list)

    def start(self, fault: str = "") -> None:
        self.fault = fault
        self.starts += 1
        environment = os.environ | self.environment | {"PYTHONPATH": str(REPO_ROOT), "CRYPTOLAKE_FAULT": fault}
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "cryptolake", *self.arguments], env=environment, stdout=log, stderr=log
            )

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.poll() is None

    def kill(self, what: Callable[[int], int] = lambda pid: pid) -> None:
        assert self.running is not None
        os.kill(what(self.running.pid), signal.SIGKILL)

    def await_death(self, timeout_s: float) -> None:
        assert self.running is not None
        self.running.wait(timeout_s)

    def end(self, timeout_s: float = 40) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            try:
                self.running.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()


@dataclass
class Home:
    """A whole pipeline on a home of its own."""

    settings: Settings
    broker: LocalBroker
    market: SimulatorProcess
    lake: Process
    collectors: dict[str, Process]
    process: Callable[..., Process]  # makes one more, from its name and arguments

    def restart_broker(self) -> None:
        told = running_broker(self.settings)
        assert told is not None
        os.kill(told.pid, signal.SIGKILL)
        self.broker = LocalBroker(self.settings)
        self.broker.start()

    def die_at(self, point: str) -> None:
        """Start the lake and wait until it has killed itself there; five minutes may have to end before it does."""
        self.lake.start(fault=f"{point}:1")
        self.lake.await_death(450)
        assert self.lake.running is not None
        assert self.lake.running.returncode == -signal.SIGKILL, self.lake.log.read_text()[-3000:]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command on this home to its end."""
        command = [sys.executable, "-m", "cryptolake", "--home", str(self.settings.home), *arguments]
        environment = os.environ | self.lake.environment | {"PYTHONPATH": str(REPO_ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)

    def await_rows(self, timeout_s: float = 300) -> None:
        """Wait until the lake of now has carried a batch."""
        status = self.settings.home / "run" / "lake.json"
        assert self.lake.running is not None
        pid = self.lake.running.pid
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.lake.alive:
            if status.exists() and f'"pid": {pid}' in (text := status.read_text()) and '"batch_id"' in text:
                return
            time.sleep(0.2)
        assert self.lake.alive, self.lake.log.read_text()[-3000:]
        pytest.fail(f"the lake carried nothing within {timeout_s} s:\n{self.lake.log.read_text()[-3000:]}")


@contextmanager
def pipeline(
    folder: Path,
    seed: int,
    *,
    rate: int = RATE,
    faults: str = MARKET_FAULTS,
    environment: Mapping[str, str] | None = None,
    broker_of: Callable[[Settings], LocalBroker] = LocalBroker,
) -> Iterator[Home]:
    home = folder / "home"
    settings = load_settings(home=home)
    broker = broker_of(settings)
    market = SimulatorProcess(folder / "market")
    processes: list[Process] = []
    try:
        bootstrap = broker.start()
        # It starts less than the horizon back, so that predictions are in time, and their outcomes come soon.
        market.start(
            seed=seed, symbols=20, rate=rate, coincap_rate=5, bybit_rate=5, start_back_s=350, speed=6, faults=faults
        )
        variables = {
            "CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            **simulated_urls(market.urls),
            "CRYPTOLAKE__VENUES__COINCAP__API_KEY": market.urls["coincap_api_key"],
            "CRYPTOLAKE__VENUES__COINGECKO__INTERVAL_S": "5",
            "CRYPTOLAKE__VENUES__TICKERS__INTERVAL_S": "5",
            "CRYPTOLAKE__VENUES__BINANCE__LISTING_INTERVAL_S": "5",
            # Upkeep goes on all the time here, so that whatever is killed is killed in the middle of it.
            "CRYPTOLAKE__MAINTENANCE__ENABLED": "true",
            "CRYPTOLAKE__MAINTENANCE__EVERY_COMMITS": "5",
            "CRYPTOLAKE__MAINTENANCE__FEWEST_FILES": "2",
            "CRYPTOLAKE__MAINTENANCE__KEEP_LOG_S": "10",
            "CRYPTOLAKE__MAINTENANCE__KEEP_FILES_S": "120",
            "CRYPTOLAKE__COLLECTOR__STABLE_S": "3",
            "CRYPTOLAKE__COLLECTOR__BACKOFF_MAX_S": "3",
            **(environment or {}),
        }

        def process(name: str, *arguments: str) -> Process:
            made = Process(["--home", str(home), *arguments], variables, folder / f"{name}.log")
            processes.append(made)
            return made

        collectors = {source: process(source, "collect", source) for source in SOURCES}
        whole = Home(settings, broker, market, process("lake", "run"), collectors, process)
        yield whole
        broker = whole.broker
    finally:
        for started in processes:
            started.end()
        market.end()
        broker.stop()


def jvm_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "java")


@pytest.mark.experiment(
    14,
    fault="kill -9 of the lake between writes of a batch, of its python, its JVM, the broker and a collector",
    holds="I1-I8 by the audit against the ledger of the market",
)
@pytest.mark.skipif(ASKED_FOR not in ("some", "all"), reason="takes 25 minutes: make kills")
@pytest.mark.timeout(3600)
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path, experiment: Experiment) -> None:
    chance = experiment.chance
    began_s = time.monotonic()
    with pipeline(tmp_path, experiment.seed) as home:
        for collector in home.collectors.values():
            collector.start()
        if WHOLE:
            succeed(home.command("backfill", "klines", "--days", "1"))
        # Between every two writes: each start of the lake dies at the next point.
        for point in points(chance):
            home.die_at(point)
            experiment.done()
            print(f"{time.monotonic() - began_s:.0f} s: died at {point}")
        if WHOLE:
            kill_between_predictions(home)
        # At random moments, in a random order.
        victims = ["collector", "lake python", "lake jvm", "broker"] * KILLS
        chance.shuffle(victims)
        home.lake.start()
        home.await_rows()
        for victim in victims:
            time.sleep(chance.uniform(0.5, 3))  # the moment of the kill is the experiment
            print(f"{time.monotonic() - began_s:.0f} s: kill {victim}")
            experiment.done()
            if victim == "collector":
                collector = home.collectors[chance.choice(sorted(home.collectors))]
                collector.kill()
                collector.await_death(10)
                collector.start()
            elif victim == "broker":
                home.restart_broker()
            else:
                home.lake.kill(jvm_of if victim == "lake jvm" else lambda pid: pid)
                home.lake.await_death(60)
                home.lake.start()
                home.await_rows()
        assert wait_until(lambda: much_was_traded(home.market.ledger()), 300, 1), "the market stands still"
        finish(home)
        results = audit(home.settings, home.market.ledger_path)
        assert [f"{r.name}: {r.examples}" for r in results if not r.passed] == []
        counted = {r.name: r.counted for r in results}
        print(counted)
        assert counted["ledger binance"] > 10_000
        assert counted["ledger bybit"] > 1000
        assert counted["silver.quarantine keys"] > 0
        experiment.note(f"{counted['ledger binance']:,} trades")


def points(chance: random.Random) -> list[str]:
    """Where the lake is to die: everywhere, or at two points that need no candles, and at one of the upkeep."""
    if WHOLE:
        return [*BETWEEN_WRITES, *IN_UPKEEP]
    without_candles = [point for point in BETWEEN_WRITES if point != "after_candles_commit"]
    drawn = chance.sample(without_candles, 2)
    return [*(point for point in BETWEEN_WRITES if point in drawn), chance.choice(IN_UPKEEP)]


def kill_between_predictions(home: Home) -> None:
    home.lake.start()
    home.await_rows()
    succeed(home.command("train"))
    home.lake.end()
    for point in BETWEEN_PREDICTIONS:
        home.die_at(point)
        print(f"died at {point}")


def succeed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


class Filled:
    """Whether no id has been missing for some seconds: the last connection asks for what no later trade shows, too."""

    def __init__(self, settings: Settings) -> None:
        self._status = settings.home / "run" / "collector-binance.json"
        self._since_s: float | None = None

    def __call__(self) -> bool:
        if read_json(self._status).get("missing_ids") != 0:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = time.monotonic()
        return self._since_s is not None and time.monotonic() - self._since_s > 8


def much_was_traded(ledger: list[dict[str, Any]]) -> bool:
    """Whether there is enough to lose: a fast machine is through with its kills after fewer trades."""
    venues = Counter(row["venue"].partition("-")[0] for row in ledger)
    return venues["binance"] > 10_000 and venues["bybit"] > 1_000


def finish(home: Home) -> None:
    """Let the collectors fill what is missing, stop them, and carry all there is through the lake."""
    home.market.fault(cut_every_s=0, duplicate_share=0, reorder_share=0, malformed_share=0)
    assert wait_until(Filled(home.settings), 120, 0.5), "ids are still missing"
    for collector in home.collectors.values():
        collector.end()
    home.lake.end()
    home.lake.arguments.append("--until-idle")
    home.lake.start()
    home.lake.await_death(240)
    assert home.lake.running is not None
    assert home.lake.running.returncode == 0, home.lake.log.read_text()[-3000:]
