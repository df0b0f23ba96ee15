"""One thing that the doctor has looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "blocks"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        subject: what.
        verdict: "blocks" means that the demo cannot run.
        seen: what was found.
        remedy: what to do about it.
    """

    subject: str
    verdict: Verdict
    seen: str
    remedy: str = ""
