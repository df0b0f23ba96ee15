"""`cryptolake` without one of its optimisations: python -m benchmarks.without NAME ARGUMENTS-OF-CRYPTOLAKE.

Each is taken out by putting what was there before, or what others do, in its place; the tables become the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

import bronze.new_frames
import silver.refine
from benchmarks.first_commit import BOTH_COMPILERS
from lakehouse.arrow import contract_schema
from lakehouse.reads import Reads
from silver.few_batch import FewBatch
from silver.few_canonical import ReadAtOnce
from silver.high_water import COPIES
from silver.tables import TRADES


@dataclass(frozen=True)
class Optimisation:
    """One of them.

    Args:
        what: it is, in a few words.
        otherwise: what is done without it.
        take_out: changes the code of this process.
        variables: settings without it, as the environment gives them.
    """

    what: str
    otherwise: str
    take_out: Callable[[], None] = lambda: None
    variables: Mapping[str, str] = field(default_factory=dict)


def _put(owner: Any, name: str, instead: Any) -> None:
    """Put something in the place of what has that name.

    Raises:
        AttributeError: nothing has it: the code has moved on.
    """
    getattr(owner, name)
    setattr(owner, name, instead)


def _figures_by_spark() -> None:
    _put(Reads, "in_folders", property(lambda self: False))


def _commits_by_spark() -> None:
    _put(Reads, "past_spark", lambda self, table: None)


def _every_copy_looked_up() -> None:
    def stored_copies(self: Any) -> pa.Table:
        return self._lake.select(TRADES, COPIES, batch=self._trades.select(list(TRADES.key)))

    _put(FewBatch, "_stored_copies", stored_copies)


def _strictly() -> None:
    nothing = contract_schema(TRADES).empty_table()
    _put(silver.refine, "canonical_trades_of_few", lambda frames, symbols: ReadAtOnce(nothing, frames))


def _a_task_for_every_partition() -> None:
    _put(bronze.new_frames, "_on_every_core", lambda frames: frames)


OPTIMISATIONS: Mapping[str, Optimisation] = {
    "few_frames": Optimisation(
        "frames landed and refined in memory (ADR 10)",
        "by Spark",
        variables={"CRYPTOLAKE__LAKE__FEW_FRAMES": "0"},
    ),
    "at_once": Optimisation("canonical frames read many at once", "each by the strict parser", _strictly),
    "figures": Optimisation("bars and trends made past Spark (ADR 12)", "by Spark's plans", _figures_by_spark),
    "commits": Optimisation("appends and corrections by delta-rs", "Spark's appends and MERGE", _commits_by_spark),
    "high_water": Optimisation(
        "only what is not above the highest id is looked up", "all trades of a batch are", _every_copy_looked_up
    ),
    "two_tasks": Optimisation(
        "Kafka's partitions read by as many tasks as there are cores", "by one each", _a_task_for_every_partition
    ),
    "interpreted": Optimisation(
        "plans over few rows interpreted", "compiled", variables={"CRYPTOLAKE__LAKE__COMPILED_ROWS": "0"}
    ),
    "compiler": Optimisation(
        "the JVM's quick compiler alone", "both", variables={"CRYPTOLAKE__SPARK__JAVA_OPTIONS": BOTH_COMPILERS}
    ),
}


def main(arguments: list[str]) -> None:
    """Run cryptolake without the optimisation that the first argument names."""
    name, *rest = arguments
    OPTIMISATIONS[name].take_out()
    os.environ |= OPTIMISATIONS[name].variables
    sys.argv[1:] = rest
    from cryptolake.cli import main as cryptolake

    cryptolake()


if __name__ == "__main__":
    main(sys.argv[1:])
