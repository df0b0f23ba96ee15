"""How long `cryptolake up` takes on a new home, with its simulated market, until bronze holds the first frames."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.commits import appends, commits_of
from benchmarks.site import ROOT, wait_for
from benchmarks.usage import family_of, sample_of

BOTH_COMPILERS = "-XX:ReservedCodeCacheSize=240m"  # instead of the quick one alone
_TIMEOUT_S = 180


def first_commit(folder: Path, runs: int = 2, java_options: str = "") -> dict[str, Any]:
    """Start it on a new home, some times.

    Args:
        folder: for the homes.
        runs: how often.
        java_options: for its JVMs; those of the settings when it is empty.
    """
    found = [_first_commit(folder / f"up-{number}", java_options) for number in range(runs)]
    return {"java_options": java_options, "runs": found}


def _first_commit(home: Path, java_options: str) -> dict[str, float]:
    home.mkdir(parents=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if java_options:
        environment |= dict.fromkeys(
            ("CRYPTOLAKE__SPARK__JAVA_OPTIONS", "CRYPTOLAKE__KAFKA__BROKER_JAVA_OPTIONS"), java_options
        )
    command = [sys.executable, "-m", "cryptolake", "--home", str(home), "up", "--simulated"]
    bronze = home / "lake" / "bronze" / "frames"
    began_s = time.time()
    with (home / "up.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_for(lambda: bool(appends(commits_of(bronze))), f"rows in {bronze}", _TIMEOUT_S)
        used = sample_of(process.pid)
        return {
            "seconds": round(appends(commits_of(bronze))[0].at_s - began_s, 2),
            "cpu_s": round(used.cpu_s if used else 0.0, 1),
        }
    finally:
        process.send_signal(signal.SIGINT)
        _await_end(process)


def _await_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        for pid in family_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
