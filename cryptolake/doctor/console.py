"""Prints what the doctor has found."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptolake.doctor.finding import Finding, Verdict

_STYLES: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "blocks": "bold red"}


def print_findings(findings: list[Finding], console: Console | None = None) -> int:
    """Print what was found and how to mend it; return 1 when something blocks."""
    console = console or Console(soft_wrap=not sys.stdout.isatty())
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        told = Text(finding.seen)
        if finding.verdict != "ok" and finding.remedy:
            told.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(Text(finding.verdict, style=_STYLES[finding.verdict]), finding.subject, told)
    console.print(table)
    blocking = [finding.subject for finding in findings if finding.verdict == "blocks"]
    warnings = sum(finding.verdict == "warning" for finding in findings)
    if blocking:
        console.print(f"\nnot ready: {', '.join(blocking)}", style="bold red")
        return 1
    console.print(f"\nready{f', {warnings} warning(s)' if warnings else ''}", style="bold green")
    return 0
