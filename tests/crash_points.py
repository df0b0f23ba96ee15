"""Crashes at fault points: a few that are drawn anew for every run, or all of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence

from experiments import SEED

ALL_CRASHES = os.environ.get("CRYPTOLAKE_TEST_CRASHES") == "all"


def drawn_points(points: Sequence[str], number: int) -> list[str]:
    """Draw `number` points in their order, and print the seed; with CRYPTOLAKE_TEST_CRASHES=all take every one."""
    if ALL_CRASHES:
        return list(points)
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    drawn = random.Random(SEED).sample(range(len(points)), number)  # noqa: S311
    return [points[place] for place in sorted(drawn)]


class Cut(Exception):
    """The crash."""


def cut_at(name: str) -> Callable[[str], None]:
    """Make what stands in for `fault_point` and crashes at one of them."""

    def fault_point(reached: str) -> None:
        if reached == name:
            raise Cut

    return fault_point
