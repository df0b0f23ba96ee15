"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class CheckResult:
    """One check of the audit.

    Args:
        name: the table and what of it is checked, in short.
        passed: whether it holds.
        counted: how many rows, offsets or minutes were looked at.
        failures: how many of them break it.
        examples: a few of those, with their keys.
        note: what else a reader should know, such as how much is in flight.
        promise: what holds when it passed, in a sentence.
        severity: of an alert of it: error, a figure or a row is wrong; warning, it could not be told.
    """

    name: str
    passed: bool
    counted: int
    failures: int
    examples: tuple[str, ...] = ()
    note: str = ""
    promise: str = ""
    severity: str = ERROR


class Tally:
    """Counts for one check while it runs over its data piece by piece.

    Args:
        name: the check's name.
        promise: what holds when it passes.
        examples: how many failures to keep as examples.
    """

    def __init__(self, name: str, promise: str, examples: int) -> None:
        self.name = name
        self.promise = promise
        self.counted = 0
        self.failures = 0
        self._limit = examples
        self._examples: list[str] = []
        self._notes: dict[str, int] = {}

    def count(self, rows: int) -> None:
        """Add rows that were looked at."""
        self.counted += rows

    def fail(self, rows: int, examples: Iterable[str]) -> None:
        """Add failures; examples are asked for only as long as they are shown."""
        self.failures += rows
        source: Iterator[str] = iter(examples)
        while len(self._examples) < self._limit and rows:
            text = next(source, None)
            if text is None:
                break
            self._examples.append(text)

    def note(self, what: str, rows: int) -> None:
        """Add to a count that is shown beside the check, such as "in flight"."""
        if rows:
            self._notes[what] = self._notes.get(what, 0) + rows

    def result(self, note: str = "") -> CheckResult:
        """Close the check."""
        notes = [f"{rows:,} {what}" for what, rows in self._notes.items()]
        text = "; ".join([note, *notes] if note else notes)
        return CheckResult(
            self.name, self.failures == 0, self.counted, self.failures, tuple(self._examples), text, self.promise
        )
