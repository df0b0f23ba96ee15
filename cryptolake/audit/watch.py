"""Audits beside a live pipeline: the whole lake once, then what came since, and alerts of what fails."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptolake.audit.alerts import Alerts, Changes, Looked
from cryptolake.audit.pinned_table import NothingToAudit
from cryptolake.audit.reach import Since
from cryptolake.audit.report import Report
from cryptolake.audit.result import WARNING, CheckResult
from cryptolake.audit.run import audit
from cryptolake.audit.spans import Spans
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

READABLE = "tables readable"  # the check that an audit could be made
_PROMISE = "the tables can be read, so that an audit says something of them"


@dataclass(frozen=True)
class Round:
    """One audit of a watch.

    Args:
        report: what it found; None when it could not be made.
        problem: why not; of a home that has no tables yet it is no failure.
        changes: of the alerts; None when they were not looked at.
        took_s: how long it took.
        began_us: when (UTC, us).
    """

    report: Report | None
    problem: str
    changes: Changes | None
    took_s: float
    began_us: int

    @property
    def failed(self) -> bool:
        """Whether a check failed, or nothing could be told."""
        return bool(self.report.failed) if self.report else self.changes is not None


class Watch:
    """Audits again and again.

    Args:
        settings: the home, and how often to look again at what has failed.
        since: where the first round begins; None audits the whole lake.
    """

    def __init__(self, settings: Settings, since: Since | None = None) -> None:
        self.clean = True
        self._settings = settings
        self._alerts = Alerts(settings)
        self._resume = since
        self._looked_again_s = float("-inf")

    def run(self, every_s: float, tell: Callable[[Round], None], stop: threading.Event) -> None:
        """Audit until `stop`.

        Args:
            every_s: time from the start of one audit to that of the next.
            tell: prints a round.
            stop: set it to end after the round at work.
        """
        begin, turn = time.monotonic(), 0
        while not stop.wait(max(0.0, begin + turn * every_s - time.monotonic())):
            done = self.round()
            self.clean = self.clean and not done.failed
            tell(done)
            turn = max(turn + 1, math.ceil((time.monotonic() - begin) / every_s))  # a long round skips some

    def round(self) -> Round:
        """Audit once, and bring the alerts in step with it."""
        began_us, began_s = time.time_ns() // 1000, time.monotonic()
        since, again = self._scope(began_us)
        try:
            report = audit(self._settings, since=since)
        except NothingToAudit as error:
            return Round(None, str(error), None, time.monotonic() - began_s, began_us)
        except CryptolakeError as error:
            broken = CheckResult(READABLE, False, 1, 1, (str(error),), "", _PROMISE, WARNING)
            changes = self._alerts.take([broken], Looked(self._began_us(since), began_us, False))
            return Round(None, str(error), changes, time.monotonic() - began_s, began_us)
        self._resume = report.resume
        readable = CheckResult(READABLE, True, 1, 0, promise=_PROMISE)
        changes = self._alerts.take([*report, readable], Looked(self._began_us(since), report.pinned_us, again))
        return Round(report, "", changes, time.monotonic() - began_s, began_us)

    def _scope(self, now_us: int) -> tuple[Since | None, bool]:
        """What the next round looks at: as a rule what came, and every so often all that has failed as well."""
        starts, now_s = self._alerts.starts_us, time.monotonic()
        due = now_s - self._looked_again_s >= self._settings.audit.again_s
        if self._resume is not None and not (starts and due):
            return self._resume, False
        self._looked_again_s = now_s
        if self._resume is None:
            return None, True
        known = [start for start in starts if start is not None]
        if len(known) < len(starts):
            return None, True
        start_us = min(*known, self._resume.us)
        return Since(start_us, self._resume.minutes | Spans([(start_us, max(now_us, start_us + 1))])), True

    @staticmethod
    def _began_us(since: Since | None) -> int | None:
        """The start of what a round looks at, the minutes it looks at again included."""
        return None if since is None else min([since.us, *(start for start, _ in since.minutes.pairs)])
