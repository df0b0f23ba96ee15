"""Checks, again and again: printed, kept, and shown as a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptolake.quality.check import QualityCheck, QualityRun
from cryptolake.quality.report import write_report
from cryptolake.quality.results import keep
from lakehouse.settings import Settings
from silver.rules import load_rules

Told = Callable[[QualityRun], None]


def check_quality(
    settings: Settings,
    *,
    minutes: int | None,
    every_s: float,
    times: int,
    report: Path | None,
    tell: Told,
    stop: threading.Event,
) -> bool:
    """Check the newest rows of silver's tables, and say whether no check failed.

    Args:
        settings: the home.
        minutes: how far back from a table's newest row; None as the settings say.
        every_s: time between two checks.
        times: how many checks; 0 until `stop`.
        report: where the page of the latest check goes.
        tell: prints a check.
        stop: set it to end after the check at work.

    Raises:
        CryptolakeError: there is nothing to check, or the results cannot be written.
    """
    check = QualityCheck(settings, load_rules())
    begin, turn, clean = time.monotonic(), 0, True
    while not stop.wait(max(0.0, begin + turn * every_s - time.monotonic())):
        run = check.run(minutes)
        keep(run, settings)
        if report:
            write_report(run, report)
        tell(run)
        clean = clean and not run.with_outcome("failed")
        turn += 1
        if turn == times:
            break
    return clean
