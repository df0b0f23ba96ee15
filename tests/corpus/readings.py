"""One frame read twice: by silver's parser and by the audit's, in one form, so that they can be held together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpus.wanted import typed

from cryptolake.audit import judge, kinds
from silver.parse import CONTROL, parse_frame
from silver.rows import Frame, Rejected

BAD = "bad"
Reading = Mapping[int, Any]  # by row: BAD, or the fields
KINDS = [kind for kind in vars(kinds).values() if isinstance(kind, kinds.Kind)]
_DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "quarantine.md"
_REASON = re.compile(r"^\| `([a-z_0-9]+)(?::[^`]*)?` \|", re.MULTILINE)


def audits_reading(frame: Frame) -> Reading:
    """What the audit's parser makes of a frame; a whole frame that is bad is its row 0."""
    into = _judged(frame)
    assert bool(into.control) == (frame.channel == CONTROL)
    found: dict[int, Any] = {max(bad.row, 0): BAD for bad in into.bad}
    for kind in KINDS:
        for _, row, *values in getattr(into, kind.table.removeprefix("silver.")):
            names = zip(kind.parsed, values, strict=True)
            found[row] = {name: typed(kind.table, name, value) for name, value in names}
    for _, first, last in into.lost:
        found[0] = {"from_id": first, "to_id": last}
    return found


def _judged(frame: Frame) -> judge.Judged:
    into = judge.Judged()
    judge.Judge().judge(0, judge.Frame(*(getattr(frame, name) for name in judge.Frame._fields)), into)
    return into


def silvers_reading(frame: Frame) -> Reading:
    """What silver's parser makes of it."""
    if frame.channel == CONTROL:
        return {}
    return {max(row.row, 0): BAD if isinstance(row, Rejected) else vars(row) for row in parse_frame(frame)}


def disagreement(frame: Frame) -> str | None:
    """How the two readings differ, as far as both have a field; None when they do not."""
    ours, theirs = silvers_reading(frame), audits_reading(frame)
    for row in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(row), theirs.get(row)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            one = {name: one[name] for name in other}
        if one != other:
            return f"row {row}: silver says {one}, the audit says {other}"
    return None


def fault(frame: Frame) -> str | None:
    """What no frame may do, whatever it holds: vanish, be refused without a documented reason, or be read two ways."""
    rows = parse_frame(frame)
    if not rows and not _judged(frame).arrays:
        return "it has vanished"
    for row in rows:
        if not isinstance(row, Rejected):
            continue
        unknown = {reason.partition(":")[0] for reason in row.reasons} - documented_reasons()
        if unknown or not row.reasons:
            return f"reasons {row.reasons}"
    return disagreement(frame)


@lru_cache(maxsize=1)
def documented_reasons() -> frozenset[str]:
    """The names of reasons in docs/quarantine.md."""
    table = _DOCUMENTED.read_text("utf-8").partition("\n| reason |")[2].partition("\n\n")[0]
    return frozenset(_REASON.findall(table))
