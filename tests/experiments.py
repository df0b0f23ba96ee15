"""The matrix of experiments: which tests are one, how often each does its fault, and the table that a run of it fills.

`make test` runs a cut of it, `make experiments` (CRYPTOLAKE_EXPERIMENTS) the whole, with the report.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from defences.removals import REMOVALS

REPO_ROOT = Path(__file__).resolve().parents[1]
# Of the thirty in the collection that they come from; the others want three brokers, a full disk or a false clock.
NUMBERS = (1, 2, 3, 4, 5, 10, 11, 12, 14, 16, 17, 20, 21, 22, 24, 25, 26, 27, 28)
ASKED_FOR = os.environ.get("CRYPTOLAKE_EXPERIMENTS", "").split()  # all, or numbers
WHOLE = bool(ASKED_FOR)
RESULTS = REPO_ROOT / "benchmarks" / "results" / "experiments.json"
PAGE = REPO_ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make experiments: begin -->", "<!-- written by make experiments: end -->"
MARK = "experiment"
MARKER = f"{MARK}(*numbers, fault, holds): stands for experiments of the matrix; its defence is in defences/removals.py"
T = TypeVar("T")

if WHOLE:
    # Before any test module draws: one seed repeats the whole run.
    os.environ.setdefault("CRYPTOLAKE_TEST_SEED", str(random.SystemRandom().randrange(2**32)))
    os.environ.setdefault("CRYPTOLAKE_TEST_CRASHES", "all")
SEED = int(os.environ.get("CRYPTOLAKE_TEST_SEED") or random.randrange(2**32))  # noqa: S311


class Experiment:
    """One run of one experiment.

    Args:
        name: of the test; two tests of one run draw differently.
    """

    def __init__(self, name: str) -> None:
        self.seed = SEED
        self.chance = random.Random(f"{SEED}/{name}")  # noqa: S311 - a schedule, no secret
        self.faults = 0
        self.notes: list[str] = []

    def times(self, cut: T, whole: T) -> T:
        """What the cut in `make test` does, or what the whole matrix does."""
        return whole if WHOLE else cut

    def done(self, faults: int = 1) -> None:
        """Count faults that were done."""
        self.faults += faults

    def note(self, measured: str) -> None:
        """Say what was measured, for the report."""
        print(measured)
        self.notes.append(measured)


@dataclass
class Row:
    """One line of the report: a test, and what its runs (one a parameter) have shown."""

    test: str
    numbers: list[int]
    fault: str
    holds: str
    seed: int
    measured: str
    count: int = 0
    duration_s: float = 0
    failed: bool = False
    notes: list[str] = field(default_factory=list)


RUN = pytest.StashKey[Experiment]()
ROWS = pytest.StashKey[dict[str, Row]]()
TEXTS = pytest.StashKey[dict[str, dict[str, str]]]()  # of every experiment that there is, whether it runs or not


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> Experiment:
    """Seed, size and count of an experiment; the test carries the marker of that name."""
    run = request.node.stash.setdefault(RUN, Experiment(request.node.name))
    print(f"CRYPTOLAKE_TEST_SEED={run.seed} repeats this")
    return run


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.stash[ROWS] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a run of the matrix: its tests alone, in the order of their numbers."""
    if not WHOLE:
        return
    config.stash[TEXTS] = {
        item.nodeid.partition("[")[0]: marker.kwargs for item in items if (marker := item.get_closest_marker(MARK))
    }
    wanted = NUMBERS if "all" in ASKED_FOR else tuple(map(int, ASKED_FOR))
    taken = [item for item in items if set(numbers_of(item)) & set(wanted)]
    config.hook.pytest_deselected(items=[item for item in items if item not in taken])
    items[:] = sorted(taken, key=lambda item: min(numbers_of(item)))


def numbers_of(item: pytest.Item) -> tuple[int, ...]:
    """The numbers of the experiments that a test stands for."""
    marker = item.get_closest_marker(MARK)
    return marker.args if marker else ()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Take what a run of an experiment has shown; a run that was skipped has shown nothing."""
    outcome: Any = yield
    report = outcome.get_result()
    marker = item.get_closest_marker(MARK)
    if marker is None or report.skipped or (report.when != "call" and not report.failed):
        return
    rows, test = item.config.stash[ROWS], item.nodeid.partition("[")[0]
    row = rows.setdefault(test, Row(test, list(marker.args), **marker.kwargs, seed=SEED, measured=_today()))
    run = item.stash.get(RUN, None)
    row.count += run.faults if run is not None else 1
    row.notes += run.notes if run is not None else []
    row.duration_s = round(row.duration_s + call.duration, 1)
    row.failed = row.failed or bool(report.failed)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report of a run of the matrix; one that leaves a number without a passed test has failed."""
    rows = session.config.stash[ROWS]
    if not WHOLE or not rows:
        return
    held = {} if "all" in ASKED_FOR else stored()
    texts = session.config.stash[TEXTS]
    write({test: replace(row, **texts.get(test, {})) for test, row in (held | rows).items()})
    lacking = set(NUMBERS) - {number for row in rows.values() if not row.failed for number in row.numbers}
    if "all" in ASKED_FOR and lacking:
        print(f"\nno passed test stands for the experiments {sorted(lacking)}", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def stored() -> dict[str, Row]:
    """The rows of earlier runs."""
    if not RESULTS.exists():
        return {}
    return {row["test"]: Row(**row) for row in json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]}


def write(rows: Mapping[str, Row]) -> None:
    """Write the rows as JSON and into the page."""
    ordered = sorted(rows.values(), key=lambda row: (min(row.numbers), row.test))
    about = {"python": platform.python_version(), "cores": os.cpu_count(), "written": _today()}
    text = json.dumps({**about, "rows": [asdict(row) for row in ordered]}, indent=1)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table_of(ordered)}\n{END}{after}", encoding="utf-8")


def table_of(rows: Iterable[Row]) -> str:
    """The table of the page, a line a test."""
    head = ("#", "fault", "done", "what held", "duration", "seed, day", "defence removed, and what was seen then")
    lines = [head, ("---",) * len(head), *map(_cells, rows)]
    total_s = sum(row.duration_s for row in rows)
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{table}\n\nTogether {total_s / 60:.0f} min, without the making of fixtures."


def _cells(row: Row) -> tuple[str, ...]:
    held = "**FAILED**" if row.failed else "; ".join([row.holds, *row.notes])
    removed = "; ".join(f"{each.defence}: {each.seen}" for each in REMOVALS if each.test == row.test and each.seen)
    numbers, day = ", ".join(map(str, row.numbers)), f"{row.seed}, {row.measured}"
    duration = f"{row.duration_s:,.{0 if row.duration_s >= 10 else 1}f} s"
    return numbers, row.fault, f"{row.count:,}", held, duration, day, removed or "not removed yet"


def peak_mib(pid: int) -> int:
    """The greatest resident set that a process has had so far."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def _today() -> str:
    return datetime.fromtimestamp(time.time(), UTC).date().isoformat()
