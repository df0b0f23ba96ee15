"""Places where a test may kill the process: between any two durable steps."""

from __future__ import annotations

import os
import signal
from collections import Counter

_WANTED, _, _NTH = os.environ.get("CRYPTOLAKE_FAULT", "").partition(":")
_reached: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Kill this process, as `kill -9` would, when CRYPTOLAKE_FAULT is `<name>:<n>` and this is the n-th time here."""
    if name != _WANTED:
        return
    _reached[name] += 1
    if _reached[name] == int(_NTH or 1):
        os.kill(os.getpid(), signal.SIGKILL)
