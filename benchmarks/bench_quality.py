"""How long a check of the quality rules takes and how much memory it needs: python -m benchmarks.bench_quality.

For each number of rows it writes a lake of ten minutes with that many trades (by delta-rs, without Spark), checks it
with `cryptolake quality` in a process of its own, and prints seconds of the processor and peak resident memory. The
first line is of a process that does no more than import what a check needs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench_audit import SYMBOLS, write_lake

MINUTES = 10
IMPORTS = "import cryptolake.cli, cryptolake.quality.run, cryptolake.quality.console"


def main() -> None:
    """Parse the command line, write the lakes, check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, nargs="+", default=[160, 10_000, 100_000, 200_000])
    given = parser.parse_args()
    _told("imports alone", ["-c", IMPORTS])
    for trades in given.trades:
        with tempfile.TemporaryDirectory() as home:
            write_lake(Path(home), trades, max(1, trades // (MINUTES * len(SYMBOLS))), per_commit=1_000)
            _told(f"{trades:,} trades", ["-m", "cryptolake", "--home", home, "quality"])


def _told(what: str, arguments: Sequence[str]) -> None:
    """Run Python and print what it took."""
    sys.stdout.flush()
    nothing = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    command = [sys.executable, *arguments]
    child = os.posix_spawn(sys.executable, command, dict(os.environ), file_actions=nothing)
    _, status, usage = os.wait4(child, 0)
    cpu_s, peak_mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(f"{what}: {cpu_s:.1f} cpu-s, peak {peak_mib:,.0f} MiB, exit code {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
