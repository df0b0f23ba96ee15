"""How far each step has come, noted in every commit of the table that it writes (docs/adr says why not as a txn)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

Marks = Mapping[str, int]  # app id of a step and the table above it -> the highest version that it has consumed


def note_of(marks: Marks) -> str:
    """Write all marks of a table as the user metadata of a commit."""
    return json.dumps({"marks": dict(marks)}, separators=(",", ":"), sort_keys=True)


def marks_in(note: str | None) -> Marks | None:
    """Read what `note_of` wrote; None for a commit without a note and for user metadata that is somebody else's."""
    try:
        marks = json.loads(note or "null")["marks"]
        return {str(app_id): int(version) for app_id, version in marks.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def newest_marks(notes: Iterable[str | None]) -> Marks | None:
    """The marks in the first note that has any.

    Args:
        notes: user metadata of commits, the newest first.
    """
    return next((marks for note in notes if (marks := marks_in(note)) is not None), None)
