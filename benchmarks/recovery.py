"""How long after kill -9 of the lake, at a steady rate, trades can be read as soon as before; none may be missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.catch_up import OURS
from benchmarks.commits import Commit, appends, commits_of
from benchmarks.load import Load
from benchmarks.oracle import check
from benchmarks.publish import producer, publish_by_clock
from benchmarks.site import site
from benchmarks.steady import Phase, await_trades, complete

RATE_PER_S = 1_000
WARM_UP_S = 40
APART_S = 60
# A trade that is readable within this time waits for nothing: the good p99 of the steady state.
NO_LAG_S = 3.0


def recovery(folder: Path, kills: int = 2, apart_s: float = APART_S) -> dict[str, Any]:
    """Kill the lake and start it again at once, some times, while trades come in; then prove that all are there."""
    with site(folder) as at, producer(at.settings, at.bootstrap_servers) as send:
        lake = at.lake(OURS)
        lake.start()
        try:
            warm_up = Phase(RATE_PER_S, late=True, seconds=WARM_UP_S).after(Load(0))
            publish_by_clock(warm_up, send)
            await_trades(lake, warm_up.trades)
            load = Phase(RATE_PER_S, late=True, seconds=kills * apart_s + apart_s / 4).after(warm_up)
            publisher = threading.Thread(target=publish_by_clock, args=(load, send))
            publisher.start()
            killed = []
            for number in range(kills):
                time.sleep(max(0.0, load.first_us / 1e6 + number * apart_s + apart_s / 4 - time.time()))
                killed.append(time.time())
                lake.kill()
                lake.start()
            publisher.join()
            await_trades(lake, load.after + load.trades)
        finally:
            lake.stop()
        complete(lake, OURS)
        compared = check([warm_up, load], lake.tables)
        commits = appends(commits_of(lake.tables.trades))
    return {"rate_per_s": RATE_PER_S, "compared": compared, "kills": [_after(at_s, commits) for at_s in killed]}


def _after(killed_s: float, commits: Sequence[Commit]) -> dict[str, float]:
    later = [commit for commit in commits if commit.at_s > killed_s]
    caught_up = next(commit for commit in later if commit.at_s - _newest_s(commit) < NO_LAG_S)
    return {
        "first_commit_s": round(later[0].at_s - killed_s, 2),
        "no_lag_s": round(caught_up.at_s - killed_s, 2),
    }


def _newest_s(commit: Commit) -> float:
    received = commit.column("received_at")["received_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return max(received.to_pylist()) / 1e6
