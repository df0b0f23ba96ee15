"""How the documents of a channel are read into rows: what the files of the venues share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptolake.audit.fields import BadField
from cryptolake.audit.judged import Frame, Judged

Read = Callable[[int, int, Frame, Any, Judged], None]


class Reader(NamedTuple):
    """How a channel's documents are read: as one row, and, where there are such, as rows of a list or of an object."""

    single: Read
    each: Read | None = None
    member: Read | None = None  # takes the name and the value
    inside: Callable[[Frame, Any], list[Any]] | None = None  # finds the rows of `each` where the document is no list


def object_in(value: Any) -> dict[str, Any]:
    """Give an object, and refuse all else."""
    if not isinstance(value, dict):
        raise BadField("not_an_object")
    return value


def array_wanted(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    """Refuse a document that is no list."""
    raise BadField("not_an_array")


def object_wanted(index: int, row: int, frame: Frame, value: Any, into: Judged) -> None:
    """Refuse a document that is no object."""
    raise BadField("not_an_object")
