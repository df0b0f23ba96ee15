"""A check on the terminal: a table for people, lines of JSON for programs."""

from __future__ import annotations

import dataclasses
import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptolake.quality.check import Check, QualityRun

_STYLES = {"failed": "bold red", "warned": "yellow"}


def print_table(run: QualityRun, console: Console) -> None:
    """Print a line for each table and one for each rule that is broken, with examples."""
    looked_at = Table(title=_title(run), title_justify="left", title_style="bold", header_style="dim", box=None)
    for name in ("table", "rows", "checks", "passed", "warned", "failed"):
        looked_at.add_column(name, justify="left" if name == "table" else "right", no_wrap=True)
    for table in run.tables:
        outcomes = [check.outcome for check in table.checks]
        figures = (table.rows, len(outcomes), *(outcomes.count(name) for name in ("passed", "warned", "failed")))
        looked_at.add_row(table.table, *(f"{figure:,}" for figure in figures))
    console.print(looked_at)
    broken = [check for check in run.checks if check.unexpected]
    for check in broken:
        console.print(Text.assemble((f"{check.outcome} ", _STYLES[check.outcome]), _sentence(check)), soft_wrap=True)
        for example in check.examples:
            # Text, not str: what came as data is no markup.
            console.print(Text(f"    {example}"), soft_wrap=True)
    if not broken:
        console.print(Text("no rule is broken", style="green"))


def print_json(run: QualityRun, console: Console) -> None:
    """Print one line of JSON for each check."""
    for check in run.checks:
        told = {
            "run_id": run.run_id,
            "checked_at": run.checked_at.isoformat(),
            **dataclasses.asdict(check),
            "outcome": check.outcome,
        }
        console.file.write(json.dumps(told) + "\n")
    console.file.flush()


def _title(run: QualityRun) -> str:
    return f"{run.checked_at:%Y-%m-%d %H:%M:%S} UTC  newest {run.minutes} minutes, rules of version {run.rule_version}"


def _sentence(check: Check) -> str:
    broken = f"{check.unexpected:,} of {check.rows:,} rows"
    return f"{check.table} {check.rule}: {broken} break {check.meaning} ({check.expectation}, {check.reason})"
