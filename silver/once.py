"""Plans that are run once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.lake import Lake

# The minutes in such a plan are literals, so code generated for it is new each time, in every task of every stage: for
# ten trades of two symbols 6.3 s of a settled minute, 3.5 s without. Re-planning by AQE doubles the number of jobs.
RUN_ONCE_CONF = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


@contextmanager
def run_once(lake: Lake, rows: int = 0) -> Iterator[None]:
    """Spare plans that differ every time, and read little, the cost of compiling and re-planning them.

    Args:
        lake: the lake, whose session is configured meanwhile.
        rows: about how many are read or written; from `lake.compiled_rows` on, compiling them pays.
    """
    if rows >= lake.settings.lake.compiled_rows:
        yield
        return
    before = {key: lake.spark.conf.get(key) for key in RUN_ONCE_CONF}
    for key, value in RUN_ONCE_CONF.items():
        lake.spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, was in before.items():
            lake.spark.conf.set(key, str(was))
