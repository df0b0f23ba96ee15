"""A lake that was frozen while records piled up: it catches up in batches of bounded size, and misses none."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from experiments import WHOLE, Experiment, peak_mib
from stream_lake import START, SYMBOLS, line_of, trade_of
from test_killed import Process, jvm_of

from bronze.tape import replay
from cryptolake.audit.run import audit
from cryptolake.broker.local import LocalBroker
from cryptolake.reader import LakeReader
from cryptolake.waiting import wait_until
from lakehouse.settings import load_settings

BACKLOG, LARGEST_BATCH, FROZEN_S = 300_000, 50_000, 60.0
MOST_MIB = 4_096  # the JVM's heap is 2 GiB
_BATCH = re.compile(r"batch [0-9]+: ([0-9]+) frames")


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def tape(path: Path, first: int, number: int) -> Path:
    with path.open("w") as file:
        for n in range(first, first + number):
            trade = trade_of(n // 3, START + timedelta(milliseconds=10 * n), f"{n % 997 + 1}.5", SYMBOLS[n % 3])
            file.write(line_of(trade) + "\n")
    return path


@pytest.mark.experiment(
    16,
    fault="python and JVM of the lake frozen (SIGSTOP) for a minute, 300,000 trades meanwhile",
    holds="I1 I2 I5-I8; no batch above `max_offsets_per_trigger`; I10: the JVM stays below 4 GiB",
)
@pytest.mark.skipif(not WHOLE, reason="takes minutes: make experiments")
@pytest.mark.timeout(1200)
def test_a_frozen_lake_catches_up_in_bounded_batches(tmp_path: Path, experiment: Experiment) -> None:
    settings = load_settings(home=tmp_path / "home")
    broker, reader = LocalBroker(settings), LakeReader(settings)
    servers = broker.start()
    variables = {
        "CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS": servers,
        "CRYPTOLAKE__LAKE__MAX_OFFSETS_PER_TRIGGER": str(LARGEST_BATCH),
    }
    lake = Process(["--home", str(settings.home), "run"], variables, tmp_path / "lake.log")
    try:
        replay(tape(tmp_path / "first.jsonl", 0, 300), "binance", settings, servers)
        lake.start()
        assert wait_until(lambda: reader.row_count("silver.trades") == 300, 180), lake.log.read_text()[-3000:]
        assert lake.running is not None
        python, jvm = lake.running.pid, jvm_of(lake.running.pid)
        with frozen(python, jvm):
            began_s = time.monotonic()
            replay(tape(tmp_path / "backlog.jsonl", 300, BACKLOG), "binance", settings, servers)
            time.sleep(max(0.0, began_s + FROZEN_S - time.monotonic()))  # the length of the freeze is the experiment
        thawed_s = time.monotonic()
        assert wait_until(lambda: reader.row_count("silver.trades") == 300 + BACKLOG, 480), lake.log.read_text()[-3000:]
        experiment.note(f"{BACKLOG:,} trades in silver {time.monotonic() - thawed_s:.0f} s after")
        most = peak_mib(jvm)
        lake.end()
        lake.arguments.append("--until-idle")
        lake.start()
        lake.await_death(240)
        assert lake.running.returncode == 0, lake.log.read_text()[-3000:]
    finally:
        lake.end()
        broker.stop()
    batches = [int(size) for size in _BATCH.findall(lake.log.read_text())]
    assert max(batches) <= LARGEST_BATCH
    assert len(batches) > BACKLOG / LARGEST_BATCH
    assert most < MOST_MIB
    results = audit(settings)
    assert [f"{r.name}: {r.examples}" for r in results if not r.passed] == []
    assert {r.counted for r in results if r.name == "bronze.frames read"} == {300 + BACKLOG}
    experiment.done()
    experiment.note(f"greatest batch {max(batches):,}, JVM at most {most:,} MiB")
