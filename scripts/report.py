"""What the set-up tells the user."""

from __future__ import annotations

import sys


class SetupFailedError(Exception):
    """The set-up cannot go on; the message is one line: what, and what to do."""


def say(text: str) -> None:
    """Show one line of progress."""
    print(f"[setup] {text}", flush=True)


def fail(error: SetupFailedError) -> int:
    """Show why the set-up stopped, and return the exit code."""
    print(f"[setup] {error}", file=sys.stderr, flush=True)
    return 1
