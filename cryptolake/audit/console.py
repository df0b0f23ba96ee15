"""An audit on the terminal: a table for people, one document of JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cryptolake.audit.report import Report
from cryptolake.audit.result import CheckResult
from cryptolake.audit.spans import time_of
from cryptolake.audit.watch import Round


def print_report(report: Report, console: Console | None = None) -> int:
    """Print the checks as a table, failures with examples, and give the exit code: 0 when all passed, else 1."""
    console = console or Console()
    console.print(_table(report))
    for check in report.failed:
        console.print(f"[red]{check.name}[/] ({check.promise}): {check.failures:,} failures", highlight=False)
        for example in check.examples:
            console.print(f"  {escape(example)}", highlight=False, soft_wrap=True)
    for number, text in enumerate(report.not_looked_at()):
        console.print(f"{'Not looked at: ' if not number else '  '}{text}", highlight=False, soft_wrap=True)
    console.print(f"{verdict(report)}.", highlight=False, soft_wrap=True)
    return exit_code(report)


def print_json(report: Report, console: Console | None = None) -> int:
    """Print the audit as one document of JSON, and give the exit code."""
    console = console or Console()
    console.file.write(json.dumps(document(report), ensure_ascii=False, indent=1) + "\n")
    return exit_code(report)


def print_round(done: Round, console: Console) -> None:
    """Print one round of a watch in a line."""
    told = done.problem if done.report is None else f"{verdict(done.report)}; {done.report.frames:,} frames"
    if done.report and done.report.failed:
        told += ": " + ", ".join(f"{check.name} ({check.failures:,})" for check in done.report.failed)
    if done.changes:
        told += "".join(f"; alert raised: {name}" for name in done.changes.raised)
        told += "".join(f"; alert resolved: {name}" for name in done.changes.resolved)
        told += f"; {done.changes.open} open" if done.changes.open else ""
    line = f"{time_of(done.began_us):%Y-%m-%d %H:%M:%S} UTC  {told}; {done.took_s:.1f} s"
    console.print(Text(line, style="red" if done.failed else ""), soft_wrap=True)


def print_round_json(done: Round, console: Console) -> None:
    """Print one round of a watch as a line of JSON."""
    alerts = None if done.changes is None else asdict(done.changes)
    told = {
        "began_at": time_of(done.began_us).isoformat(),
        "took_s": round(done.took_s, 3),
        "problem": done.problem or None,
        "audit": None if done.report is None else document(done.report),
        "alerts": alerts,
    }
    console.file.write(json.dumps(told, ensure_ascii=False) + "\n")
    console.file.flush()


def exit_code(report: Report) -> int:
    """0 when all passed, else 1."""
    return 1 if report.failed else 0


def verdict(report: Report) -> str:
    """Say in a sentence how it ended, and for what that holds."""
    failed, checks = len(report.failed), len(report.checks)
    over = f" for {report.scope()}" if report.since else ""
    if failed:
        return f"{failed} of {checks} checks failed{over}"
    nothing = "; nothing came" if report.since and not report.frames else ""
    return f"All {checks} checks passed{over}{nothing}"


def document(report: Report) -> dict[str, Any]:
    """What `print_json` prints, as plain values."""
    return {
        "verdict": "failed" if report.failed else "passed",
        "looked_at": {
            "whole": report.since is None,
            "since": None if report.since is None else time_of(report.since.us).isoformat(),
            "until": time_of(report.pinned_us).isoformat(),
            "frames": report.frames,
        },
        "not_looked_at": report.not_looked_at(),
        "versions": dict(report.versions),
        "checks": [_check(check) for check in report.checks],
        "batches_that_do_not_add_up": [
            {
                "ingested_at": batch.ingested_at.isoformat(),
                "batch_id": batch.batch_id,
                "offsets": [
                    {"topic_id": topic_id, "partition": partition, "from": first, "to": last}
                    for topic_id, partition, first, last in batch.offsets
                ],
                **batch.figures,
            }
            for batch in report.batches
        ],
    }


def _check(check: CheckResult) -> dict[str, Any]:
    return {
        "name": check.name,
        "what": check.promise,
        "passed": check.passed,
        "counted": check.counted,
        "failed": check.failures,
        "note": check.note,
        "examples": list(check.examples),
    }


def _table(report: Report) -> Table:
    table = Table(title=f"Audit of {report.scope()}", title_justify="left", header_style="bold")
    for column in ("check", "", "counted", "failures", "note"):
        numbers = column in ("counted", "failures")
        table.add_column(column, justify="right" if numbers else "left", no_wrap=column != "note")
    for check in report.checks:
        passed = "[green]ok[/]" if check.passed else "[red]FAILED[/]"
        table.add_row(check.name, passed, f"{check.counted:,}", f"{check.failures:,}", escape(check.note))
    return table
