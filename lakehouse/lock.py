"""One process and its JVM own the lake's tables on a local disk, and each of the two holds a lock of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Any

from pyspark.sql import SparkSession

from lakehouse.errors import LakeLockedError
from lakehouse.file_lock import taken

# A JVM may outlive its Python parent by half a second.
GRACE_S = 5.0


class OwnerLock:
    """The lake's lock, let go only when neither Python nor its JVM can write any more, whichever is killed first.

    Python writes past Spark: a batch at work in it goes on for a moment when its JVM is gone, as the JVM does when
    Python is.

    Args:
        spark: the session whose JVM takes one of the locks.
        lake_folder: the folder that holds the tables.
    """

    def __init__(self, spark: SparkSession, lake_folder: Path) -> None:
        self._jvm: Any = spark.sparkContext._jvm  # noqa: SLF001 - py4j is the only way to a lock of the JVM
        self._path = lake_folder / ".owner"
        self._own: IO[str] | None = None
        self._file: Any = None

    def acquire(self) -> None:
        """Take the lock, waiting a short while for a JVM that is going down.

        Raises:
            LakeLockedError: another process owns the lake.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + GRACE_S
        while not self._taken():
            if time.monotonic() > deadline:
                self.release()
                raise LakeLockedError(
                    f"The lake in {self._path.parent} is owned by another process",
                    "Stop it (`cryptolake down`), or let it do the work.",
                )
            time.sleep(0.2)

    def release(self) -> None:
        """Let the lock go."""
        if self._own is not None:
            self._own.close()
            self._own = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _taken(self) -> bool:
        self._own = self._own or _locked(self._path.with_name(".writer"))
        if self._own is None:
            return False
        file = self._jvm.java.io.RandomAccessFile(str(self._path), "rw")
        if file.getChannel().tryLock() is None:
            file.close()
            return False
        self._file = file
        return True


def _locked(path: Path) -> IO[str] | None:
    """The file, with a lock that goes with this process; None when another one has it."""
    file = path.open("w")
    if taken(file.fileno()):
        return file
    file.close()
    return None
