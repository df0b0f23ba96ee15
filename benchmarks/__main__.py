"""Measure the whole way, ours beside a peer's: python -m benchmarks [PART ...], or `make bench`.

Parts: catch_up, collector, steady, recovery, first_commit, growth, ablations; all of them when none is named.
BENCH=all adds the long ones, BENCH=tiny makes all of them small, to see that they work. Every part checks what came out
before it tells a figure. The figures are printed and written to benchmarks/results/.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ablations import ablations
from benchmarks.catch_up import IN_TURN, OURS, PEER, catch_up
from benchmarks.collector import collector
from benchmarks.first_commit import BOTH_COMPILERS, first_commit
from benchmarks.growth import growth
from benchmarks.load import Load
from benchmarks.machine import load_average, machine
from benchmarks.recovery import recovery
from benchmarks.report import text_of
from benchmarks.steady import Phase, steady
from lakehouse.errors import CryptolakeError

RESULTS = Path(__file__).resolve().parent / "results"
Part = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Args:
        catch_up_trades: the backlogs, smallest first; only the first one A-B-B-A, greater ones A-B.
        collected_per_s: trades of a venue, for its collector.
        rates_per_s: of the steady state.
        phase_s: how long each of their phases takes.
        kills: of the lake.
        starts: first starts.
        growth_trades: what a lake holds before it grows.
        ablated_trades: what is carried without each optimisation, in large batches and then in small ones.
    """

    catch_up_trades: tuple[int, ...] = (2_000_000,)
    collected_per_s: tuple[int, ...] = (1_000, 5_000)
    rates_per_s: tuple[int, ...] = (1_000, 5_000)
    phase_s: float = 75
    kills: int = 2
    starts: int = 2
    growth_trades: int = 50_000
    ablated_trades: tuple[int, int] = (200_000, 30_000)


PLANS = {
    "": Plan(),
    "all": Plan(
        (2_000_000, 20_000_000),
        (1_000, 5_000, 10_000),
        (1_000, 5_000, 20_000),
        kills=4,
        starts=4,
        growth_trades=200_000,
    ),
    "tiny": Plan(
        (20_000,), (200,), (200,), phase_s=70, kills=1, starts=1, growth_trades=5_000, ablated_trades=(8_000, 3_000)
    ),
}


def parts_of(plan: Plan) -> dict[str, Part]:
    """What is measured, by name, in its order."""
    phases = [Phase(rate, late, plan.phase_s) for rate in plan.rates_per_s for late in (False, True)]

    def catch_ups(folder: Path) -> Mapping[str, Any]:
        turns = (IN_TURN, (OURS, PEER))
        loads = enumerate(plan.catch_up_trades)
        return {"loads": [catch_up(folder / str(n), Load(trades), turns[min(n, 1)]) for n, trades in loads]}

    return {
        "catch_up": catch_ups,
        "collector": lambda folder: collector(folder, plan.collected_per_s, plan.phase_s),
        "steady": lambda folder: {"programs": [steady(folder / who, who, phases) for who in (OURS, PEER)]},
        "recovery": lambda folder: recovery(folder, plan.kills),
        "first_commit": lambda folder: {
            "ways": [
                first_commit(folder / name, plan.starts, options)
                for name, options in (("quick", ""), ("both", BOTH_COMPILERS))
            ]
        },
        "growth": lambda folder: growth(folder, plan.growth_trades, measured=4 * plan.growth_trades),
        "ablations": lambda folder: ablations(folder, *plan.ablated_trades),
    }


def main(wanted: list[str]) -> None:
    """Measure the parts that are wanted, one after the other; what was measured before a failure is kept.

    Args:
        wanted: names of parts; none for all.

    Raises:
        CryptolakeError: there is no such part or plan.
    """
    name = os.environ.get("BENCH", "")
    if name not in PLANS:
        raise CryptolakeError(f"BENCH={name} is no plan", "Leave it out, or take all or tiny.")
    parts = parts_of(PLANS[name])
    if unknown := set(wanted) - parts.keys():
        raise CryptolakeError(f"No such part: {', '.join(sorted(unknown))}", f"Parts: {', '.join(parts)}.")
    measured: dict[str, Any] = {"plan": name or "default", "machine": machine(), "parts": {}}
    stamp = measured["machine"]["at"].replace(":", "").replace("+0000", "Z")
    file = RESULTS / f"{stamp}-{measured['machine']['commit']}.json"
    RESULTS.mkdir(exist_ok=True)
    for part in wanted or parts:
        measured["parts"][part] = _measured(parts[part])
        file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        print(text_of({**measured, "parts": {part: measured["parts"][part]}}), flush=True)
    print(f"written to {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")


def _measured(part: Part) -> dict[str, Any]:
    before, began_s = load_average(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = part(Path(folder))
    loads = {"load_average_before": before, "load_average_after": load_average()}
    return {**found, "took_s": round(time.monotonic() - began_s), **loads}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CryptolakeError as error:
        raise SystemExit(str(error)) from None
