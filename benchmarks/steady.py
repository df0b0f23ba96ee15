"""How soon a trade can be read while trades come in at a steady rate, and what that takes: ours or the peer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from benchmarks.catch_up import OURS
from benchmarks.commits import appends, commits_of, latencies_s, percentiles
from benchmarks.load import MICROS, Faults, Load
from benchmarks.oracle import check
from benchmarks.publish import Send, producer, publish_by_clock
from benchmarks.site import Program, site, wait_for
from benchmarks.usage import Usage

LATENESS_S = 5  # conf/base.yml: lake.lateness_s
MINUTE_S = 60
WARM_UP_S = 60
_CAUGHT_UP_S = 300
# Making a frame takes 10 us; all frames of a phase are made before its first is due.
_LEAD_S, _LEAD_PER_TRADE_S = 1.0, 25e-6
_NOT_LATE = Faults(late=0)


@dataclass(frozen=True)
class Phase:
    """A stretch of steady trades.

    Args:
        rate_per_s: trades, by the clock.
        late: whether some come 10 to 60 s late.
        seconds: how long; more than a minute, so that bars close in it.
    """

    rate_per_s: int
    late: bool
    seconds: float = 75

    def after(self, load: Load) -> Load:
        """Its trades, beginning as soon as they can be made."""
        trades = int(self.rate_per_s * self.seconds)
        first_us = int((time.time() + _LEAD_S + trades * _LEAD_PER_TRADE_S) * MICROS)
        faults = Faults() if self.late else _NOT_LATE
        return replace(load.then(trades), rate_per_s=self.rate_per_s, first_us=first_us, faults=faults)


def steady(folder: Path, who: str, phases: Sequence[Phase], warm_up_s: float = WARM_UP_S) -> dict[str, Any]:
    """Let a program run while phase after phase is published; its tables are checked at the end.

    Args:
        folder: for everything.
        who: ours or the peer.
        phases: one after the other, after a warm-up at the rate of the first one.
        warm_up_s: how long that is.
    """
    with site(folder) as at, producer(at.settings, at.bootstrap_servers) as send:
        program = at.lake(who) if who == OURS else at.peer(who)
        pids = {"program": lambda: program.pid, "broker": lambda: at.broker_pid}
        with Usage(pids) as usage:
            loads, behind = _published(program, phases, warm_up_s, send)
        complete(program, who)
        compared = check(loads, program.tables)
        found = [
            phase_figures(program, usage, load) | {"late": phase.late, "generator_behind_s": round(lag_s, 3)}
            for phase, load, lag_s in zip(phases, loads[1:], behind, strict=True)
        ]
    return {"who": who, "compared": compared, "phases": found}


def complete(program: Program, who: str) -> None:
    """End a running program, and let it close what is open."""
    program.stop()
    if who == OURS:
        program.until_idle(_CAUGHT_UP_S)


def await_trades(program: Program, trades: int) -> None:
    """Wait until a program's table holds so many trades."""
    wait_for(lambda: _held(program) >= trades, f"{trades} trades in {program.tables.trades}", _CAUGHT_UP_S)


def phase_figures(program: Program, usage: Usage, load: Load) -> dict[str, Any]:
    """What one phase took, and how soon its trades and bars could be read."""
    from_s, to_s = load.first_us / 1e6, load.end_us / 1e6
    trades, millions = commits_of(program.tables.trades), load.trades / 1e6
    all_commits = [each for log in program.folder.rglob("_delta_log") for each in commits_of(log.parent)]
    within = [commit for commit in all_commits if from_s <= commit.at_s < to_s]
    return {
        "rate_per_s": load.rate_per_s,
        "trade_readable_s": percentiles(latencies_s(appends(trades), "received_at", load.first_us, load.end_us)),
        "bar_readable_s": _bars_after_lateness(program, load),
        "cores": round(usage.cpu_s("program", from_s, to_s) / (to_s - from_s), 2),
        "broker_cores": round(usage.cpu_s("broker", from_s, to_s) / (to_s - from_s), 2),
        "cpu_s_per_million": round(usage.cpu_s("program", from_s, to_s) / millions, 1),
        "peak_rss_mb": round(usage.peak_rss_mb("program", from_s, to_s)),
        "commits_per_million": round(len(within) / millions),
        "files_per_million": round(sum(len(commit.added) for commit in within) / millions),
    }


def _published(
    program: Program, phases: Sequence[Phase], warm_up_s: float, send: Send
) -> tuple[list[Load], list[float]]:
    load = Load(0)
    loads, behind = [], []
    program.start()
    try:
        for phase in (replace(phases[0], seconds=warm_up_s), *phases):
            load = phase.after(load)
            loads.append(load)
            behind.append(publish_by_clock(load, send))
            await_trades(program, load.after + load.trades)
    except BaseException:
        program.kill()
        raise
    return loads, behind[1:]


def _bars_after_lateness(program: Program, load: Load) -> dict[str, float]:
    """Of minutes that closed within the phase: how long after their end and the bound of lateness they were there."""
    commits = appends(commits_of(program.tables.bars), load.first_us / 1e6)
    closed_after_s = MINUTE_S + LATENESS_S
    from_us = load.first_us - closed_after_s * MICROS + LATENESS_S * MICROS
    to_us = load.end_us - closed_after_s * MICROS - LATENESS_S * MICROS
    return percentiles(latencies_s(commits, "minute", from_us, to_us) - closed_after_s)


def _held(program: Program) -> int:
    folder = program.tables.trades
    return DeltaTable(str(folder)).count() if (folder / "_delta_log").is_dir() else 0
