"""The report of the matrix is what was measured, and nothing else."""

from __future__ import annotations

from experiments import BEGIN, END, PAGE, stored, table_of


def test_the_page_shows_the_stored_figures() -> None:
    rows = sorted(stored().values(), key=lambda row: (min(row.numbers), row.test))
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == (table_of(rows) if rows else "")
