"""How fast a backlog becomes tables: ours and the peer on one topic in turn, A-B-B-A, each result checked first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commits import commits_of
from benchmarks.load import Load
from benchmarks.oracle import check
from benchmarks.publish import producer, publish
from benchmarks.site import LakeProcess, Program, Site, site
from benchmarks.usage import Usage

OURS, PEER = "ours", "peer"
IN_TURN = (OURS, PEER, PEER, OURS)
_TIMEOUT_S = 3_600


def catch_up(folder: Path, load: Load, turns: Sequence[str] = IN_TURN, **variables: str) -> dict[str, Any]:
    """Publish a load, then let everyone in turn carry it into tables of their own.

    Args:
        folder: for everything.
        load: what to publish.
        turns: who, one after the other.
        variables: settings of our lake, as the environment gives them.
    """
    with site(folder) as at:
        published = published_in(at, load)
        runs = []
        for number, who in enumerate(turns):
            name = f"{who}-{number}"
            program = at.lake(name, **variables) if who == OURS else at.peer(name)
            runs.append({"who": who} | carried(at, program, [load]))
    return {"trades": load.trades, "symbols": load.symbols, "published": published, "runs": runs}


def published_in(at: Site, load: Load) -> dict[str, Any]:
    """Publish a load as fast as it goes; say how many frames of which kind there were, and how long it took."""
    began_s = time.monotonic()
    with producer(at.settings, at.bootstrap_servers) as send:
        publish(load, send)
    return load.counts() | {"seconds": round(time.monotonic() - began_s, 1)}


def carried(at: Site, program: Program, loads: Sequence[Load]) -> dict[str, Any]:
    """Let a program carry what it has not carried yet, until it is idle; figures only if its tables are right.

    Args:
        at: where.
        program: ours or the peer, not running.
        loads: all that has been published, the last one of which is to be carried.
    """
    with Usage({"program": lambda: program.pid, "broker": lambda: at.broker_pid}) as usage:
        program.until_idle(_TIMEOUT_S)
    ended_s = time.time()
    compared = check(loads, program.tables)
    return figures(program, usage, ended_s, loads[-1].trades) | {"compared": compared}


def figures(program: Program, usage: Usage, ended_s: float, trades: int) -> dict[str, Any]:
    """What it took to carry so many trades, from the first question to the broker to the last commit."""
    began_s, millions = program.began_s, trades / 1e6
    written = [
        commit
        for log in program.folder.rglob("_delta_log")
        for commit in commits_of(log.parent)
        if began_s <= commit.at_s <= ended_s
    ]
    last_s = max(commit.at_s for commit in written)
    found = {
        "trades_per_s": round(trades / (last_s - began_s)),
        "seconds": round(last_s - began_s, 2),
        "start_s": round(began_s - program.started_s, 2),
        "cpu_s_per_million": round(usage.cpu_s("program", began_s, last_s) / millions, 2),
        "cpu_s_of_the_process": round(usage.cpu_s("program", program.started_s, ended_s), 1),
        "broker_cpu_s_per_million": round(usage.cpu_s("broker", began_s, last_s) / millions, 2),
        "peak_rss_mb": round(usage.peak_rss_mb("program")),
        "commits_per_million": round(len(written) / millions, 1),
        "files_per_million": round(sum(len(commit.added) for commit in written) / millions, 1),
    }
    return found | _by_batch(program, usage, last_s) if isinstance(program, LakeProcess) else found


def _by_batch(program: LakeProcess, usage: Usage, last_s: float) -> dict[str, Any]:
    """The batches, and what all but the first one took: in the first Spark compiles what it runs."""
    batches = [batch for batch in program.batches() if batch.ended_s >= program.started_s]
    shown = [{"frames": batch.frames, **batch.laps_s} for batch in batches]
    after = sum(batch.frames for batch in batches[1:])
    if not after:
        return {"batches": shown}
    warm_s = batches[0].ended_s
    return {
        "warm_frames_per_s": round(after / (last_s - warm_s)),
        "warm_cpu_s_per_million": round(usage.cpu_s("program", warm_s, last_s) / after * 1e6, 2),
        "batches": shown,
    }
