"""The report of the matrix is what was measured, and every experiment has a defence that can be taken out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from defences.__main__ import RESULTS as REMOVED
from defences.removals import REMOVALS, Removal
from experiments import BEGIN, END, PAGE, stored, table_of

_MARKED = re.compile(r"@pytest\.mark\.experiment\(.*?\ndef (\w+)", re.DOTALL)


def test_the_page_shows_the_stored_figures() -> None:
    rows = sorted(stored().values(), key=lambda row: (min(row.numbers), row.test))
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == (table_of(rows) if rows else "")


def test_every_experiment_has_a_defence_to_be_taken_out(repo_root: Path) -> None:
    marked = {
        f"{path.relative_to(repo_root)}::{name}"
        for path in (repo_root / "tests").rglob("test_*.py")
        for name in _MARKED.findall(path.read_text(encoding="utf-8"))
    }
    assert marked == {removal.test for removal in REMOVALS}


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.test.partition("::")[2])
def test_a_defence_is_where_its_removal_looks_for_it(removal: Removal, repo_root: Path) -> None:
    for edit in removal.edits:
        assert (repo_root / edit.path).read_text(encoding="utf-8").count(edit.held) == 1


def test_what_was_seen_without_a_defence_was_a_failure() -> None:
    results = json.loads(REMOVED.read_text(encoding="utf-8"))
    assert {removal.test for removal in REMOVALS if removal.seen} <= {
        test for test in results if results[test]["failed"]
    }
