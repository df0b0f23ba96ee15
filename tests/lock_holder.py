"""Locks on files that another process holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path, how: str = "lockf") -> Iterator[None]:
    """Have a process of its own hold a lock: by `lockf`, as Java's FileChannel.tryLock does, or by `flock`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = f"import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.{how}(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()
