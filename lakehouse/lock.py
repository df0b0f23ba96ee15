"""One JVM owns the lake's tables on a local disk, and itself holds the lock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.errors import LakeLockedError

# A JVM may outlive its Python parent by half a second.
GRACE_S = 5.0


class OwnerLock:
    """The lake's lock, held by the JVM so that it is let go only when no JVM can write any more.

    Args:
        spark: the session whose JVM takes the lock.
        lake_folder: the folder that holds the tables.
    """

    def __init__(self, spark: SparkSession, lake_folder: Path) -> None:
        self._jvm: Any = spark.sparkContext._jvm  # noqa: SLF001 - py4j is the only way to a lock of the JVM
        self._path = lake_folder / ".owner"
        self._file: Any = None

    def acquire(self) -> None:
        """Take the lock, waiting a short while for a JVM that is going down.

        Raises:
            LakeLockedError: another process owns the lake.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + GRACE_S
        while True:
            file = self._jvm.java.io.RandomAccessFile(str(self._path), "rw")
            lock = file.getChannel().tryLock()
            if lock is not None:
                self._file = file
                return
            file.close()
            if time.monotonic() > deadline:
                raise LakeLockedError(
                    f"The lake in {self._path.parent} is owned by another process",
                    "Stop it (`cryptolake down`), or let it do the work.",
                )
            time.sleep(0.2)

    def release(self) -> None:
        """Let the lock go."""
        if self._file is not None:
            self._file.close()
            self._file = None
