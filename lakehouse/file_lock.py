"""Locks on files that the kernel lets go when their process ends, however it ends."""

from __future__ import annotations

import fcntl


def taken(descriptor: int) -> bool:
    """Take the lock of an open file for this process alone, without waiting; False when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
