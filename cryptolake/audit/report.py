"""What an audit has to say: its checks, what it looked at, and what it did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptolake.audit.batches import BatchAccount
from cryptolake.audit.reach import Since
from cryptolake.audit.result import CheckResult
from cryptolake.audit.spans import time_of

_BESIDE_WHAT_CAME = (
    "frames landed before {since}, and what became of them",
    "bars, five-minute bars and trends of minutes that nothing which came since touches",
    "keys: rows of silver more than a second away from any that came, and rows of partitions of which nothing came",
    "ids that were missing before, gaps that were closed before, and whether a marker says so of unrecoverable ones",
    "rows that were quarantined before, and what replays have said of them since",
)


@dataclass(frozen=True)
class Report:
    """The outcome of one audit.

    Args:
        checks: in the order of the flow.
        pinned_us: the state of the tables that was looked at (UTC, us).
        since: from when on; None when everything was looked at.
        versions: of the tables, by name.
        batches: batches of bronze that do not add up, the oldest first.
        resume: from when on the next audit has to look so that nothing is left out between the two.
    """

    checks: tuple[CheckResult, ...]
    pinned_us: int
    since: Since | None
    versions: Mapping[str, int]
    batches: tuple[BatchAccount, ...]
    resume: Since

    def __iter__(self) -> Iterator[CheckResult]:
        """Give the checks."""
        return iter(self.checks)

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]

    @property
    def frames(self) -> int:
        """How many frames were read."""
        return self.checks[0].counted

    def scope(self) -> str:
        """Say in a few words what was looked at."""
        return f"what came since {_text(self.since.us)}" if self.since else "the whole lake"

    def not_looked_at(self) -> list[str]:
        """Say what a reader must not take for proved."""
        return [text.format(since=_text(self.since.us)) for text in _BESIDE_WHAT_CAME] if self.since else []


def _text(us: int) -> str:
    return f"{time_of(us):%Y-%m-%d %H:%M:%S} UTC"
