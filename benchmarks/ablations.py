"""What each optimisation gives: the same topic carried with all of them, and without one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.catch_up import carried, published_in
from benchmarks.load import Load
from benchmarks.site import Site, site
from benchmarks.without import OPTIMISATIONS

AGAIN = "again"  # with all of them once more: what two runs of the same differ by
_SMALL = 1_000  # frames of a batch of a lake that has caught up


def ablations(folder: Path, trades: int, small_trades: int) -> dict[str, Any]:
    """Let a lake of all optimisations, and one without each, carry a backlog in large batches and then one in small.

    Args:
        folder: for everything.
        trades: of the backlog, which is taken in four batches.
        small_trades: of what follows, a thousand a batch.
    """
    large = Load(trades)
    small = large.then(small_trades)
    with site(folder) as at:
        published_in(at, large)
        carriers = {name: _carried(at, name, [large], trades // 4) for name in ("", *OPTIMISATIONS, AGAIN)}
        published_in(at, small)
        cases = [
            {"name": name, "large": large_run, "small": _carried(at, name, [large, small], _SMALL)}
            for name, large_run in carriers.items()
        ]
    return {"trades": trades, "small_trades": small_trades, "cases": [_told(case) for case in cases]}


def _carried(at: Site, name: str, loads: list[Load], batch: int) -> dict[str, Any]:
    lake = at.lake(name or "all", CRYPTOLAKE__LAKE__MAX_OFFSETS_PER_TRIGGER=str(batch))
    if name in OPTIMISATIONS:
        lake.command[:1] = ["benchmarks.without", name]
    return carried(at, lake, loads)


def _told(case: Mapping[str, Any]) -> dict[str, Any]:
    name, large, small = (case[key] for key in ("name", "large", "small"))
    known = OPTIMISATIONS.get(name)
    batches = len(small["batches"]) - 1
    frames = sum(batch["frames"] for batch in small["batches"][1:])
    return {
        "name": name,
        "what": known.what if known else "",
        "otherwise": known.otherwise if known else "",
        "large_frames_per_s": large["warm_frames_per_s"],
        "large_cpu_s_per_million": large["warm_cpu_s_per_million"],
        "small_batches": batches,
        "small_s": round(frames / small["warm_frames_per_s"] / batches, 3),
        "small_cpu_s": round(small["warm_cpu_s_per_million"] * frames / 1e6 / batches, 3),
    }
