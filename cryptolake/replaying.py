"""Replays of the quarantine: alone, as the owner of the lake, or between the batches of a running pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from lakehouse.lake import Lake
from silver.aggregate import Aggregate
from silver.refine import Refine
from silver.replay import Replay
from silver.selection import Selection
from silver.symbol_table import seed


def replay_groups(
    lake: Lake, selection: Selection, alone: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Counter[str]:
    """Replay group by group; refine must have finished what it began.

    Args:
        lake: the lake this process owns.
        selection: which rows.
        alone: entered around each group; keeps refine away meanwhile.

    Returns:
        how many rows have which outcome, and how many were `marked` anew.
    """
    replay = Replay(lake)
    total: Counter[str] = Counter()
    for rows in replay.groups(selection):
        with alone():
            total += replay.run(rows)
    return total


def replay_alone(lake: Lake, selection: Selection) -> Counter[str]:
    """Replay where no pipeline runs, and settle the minutes that this corrects; predictions come with the next run."""
    seed(lake)
    # What a crash has cut off comes first: a row that refine has yet to write is not lost.
    Refine(lake).drain()
    told = replay_groups(lake, selection)
    aggregate = Aggregate(lake)
    aggregate.drain()
    aggregate.close_all()
    return told
