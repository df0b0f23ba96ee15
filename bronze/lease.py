"""The right to be the only process that collects a source in a home."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse.errors import CryptolakeError
from lakehouse.file_lock import taken


class SpoolInUseError(CryptolakeError):
    """Another process has the spool."""


class Lease:
    """A lock that the kernel lets go when its process ends, however it ends.

    Args:
        folder: what is leased.

    Raises:
        SpoolInUseError: another process has it; named by its pid.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        if not taken(self._descriptor):
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise SpoolInUseError(
                f"Another process (pid {holder or 'unknown'}) uses {folder}", "Stop it first, or let it do the work."
            )
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
