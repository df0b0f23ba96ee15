"""Cuts all along, and a collector that fills nothing: every gap is opened, fetched and closed, and the audit passes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from experiments import WHOLE as OF_THE_MATRIX
from experiments import Experiment
from test_killed import Home, Process, jvm_of, pipeline

from cryptolake.audit.run import audit
from cryptolake.reader import LakeReader, Rows
from cryptolake.waiting import wait_until

ASKED_FOR = os.environ.get("CRYPTOLAKE_TEST_GAPS", "some" if OF_THE_MATRIX else "")
SECONDS = float(os.environ.get("CRYPTOLAKE_TEST_GAPS_S", "600" if ASKED_FOR == "all" else "120"))
RATE = 1000  # trades/s
FAULTS = "cut_every_s=20,duplicate_share=0.01,reorder_share=0.01"
ENVIRONMENT = {"CRYPTOLAKE__BACKFILL__WAIT_S": "1", "CRYPTOLAKE__BACKFILL__AGAIN_S": "30"}
# Of the collector of Binance, neither for holes nor for silences: what a cut lost is left to the back-fill.
FILLING_NOTHING = {"CRYPTOLAKE__COLLECTOR__GAP_WAIT_S": "1e9", "CRYPTOLAKE__COLLECTOR__QUIET_PROBE_S": "1e9"}


@pytest.mark.experiment(
    10,
    fault="all connections cut every 20 s at 1,000 trades/s; kill -9 of the lake and of the back-fill that alone fills",
    holds="I1 I9: every gap is opened, fetched and closed; I2-I8 by the audit against the ledger",
)
@pytest.mark.skipif(ASKED_FOR not in ("some", "all"), reason="takes a quarter of an hour: make gaps")
@pytest.mark.timeout(2700)
def test_every_gap_of_ten_minutes_of_cuts_ends_closed(tmp_path: Path, experiment: Experiment) -> None:
    chance = experiment.chance
    with pipeline(tmp_path, experiment.seed, rate=RATE, faults=FAULTS, environment=ENVIRONMENT) as home:
        back_fill = home.process("backfill", "backfill")
        binance = home.collectors["binance"]
        binance.environment = binance.environment | FILLING_NOTHING
        for process in (*home.collectors.values(), back_fill, home.lake):
            process.start()
        home.await_rows()
        began_s = time.monotonic()
        # The lake and the back-fill are killed once each, at some moment of the middle.
        kills = sorted((chance.uniform(0.3, 0.7) * SECONDS, victim) for victim in ("lake", "back-fill"))
        for at_s, victim in kills:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            print(f"{time.monotonic() - began_s:.0f} s: kill {victim}; {counted(home)}")
            kill(home, back_fill, victim)
        time.sleep(max(0.0, began_s + SECONDS - time.monotonic()))
        home.market.fault(cut_every_s=0, duplicate_share=0, reorder_share=0)
        closed_s = time.monotonic()
        assert wait_until(Closed(home), 600, 1.0), f"gaps are still open: {counted(home)}"
        print(
            f"{SECONDS:.0f} s of cuts: {counted(home)}; all closed {time.monotonic() - closed_s:.0f} s after the last"
        )
        for process in (*home.collectors.values(), back_fill, home.lake):
            process.end()
        home.lake.arguments.append("--until-idle")
        home.lake.start()
        home.lake.await_death(600)
        results = audit(home.settings, home.market.ledger_path)
        assert [f"{r.name}: {r.examples}" for r in results if not r.passed] == []
        print({r.name: (r.counted, r.note) for r in results if "gaps" in r.name or "ledger" in r.name})
        assert set(counted(home)) == {"closed"}
        assert counted(home)["closed"] > SECONDS / 20
        experiment.done(counted(home)["closed"])


def kill(home: Home, back_fill: Process, victim: str) -> None:
    killed = home.lake if victim == "lake" else back_fill
    killed.kill(jvm_of if victim == "lake" else lambda pid: pid)
    killed.await_death(60)
    assert killed.running is not None
    assert killed.running.returncode == (1 if victim == "lake" else -signal.SIGKILL), home.lake.log.read_text()[-3000:]
    killed.start()


def rows(home: Home) -> Rows:
    filters = [("venue", "=", "binance")]
    return LakeReader(home.settings).rows_where("silver.gaps", ("status", "from_id", "to_id", "closed_at"), filters)


def counted(home: Home) -> Counter[str]:
    return Counter(row["status"] for row in rows(home))


class Closed:
    """Whether no gap has been open for a quarter of a minute."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._since_s: float | None = None

    def __call__(self) -> bool:
        if set(counted(self._home)) - {"closed"}:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = time.monotonic()
        return self._since_s is not None and time.monotonic() - self._since_s > 15
