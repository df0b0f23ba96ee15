"""The lake's lock against other processes: each half of it is enough to keep a second owner out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lock_holder import held
from pyspark.sql import SparkSession

from lakehouse import lock as lock_module
from lakehouse.errors import LakeLockedError
from lakehouse.lock import OwnerLock

# How the two halves are held: by Java's FileChannel.tryLock, and by the process that writes past Spark.
JVM, PYTHON = ("lockf", ".owner"), ("flock", ".writer")


@pytest.mark.parametrize("half", [JVM, PYTHON], ids=["its JVM lives on", "its Python lives on"])
def test_an_owner_of_whom_one_half_lives_on_keeps_others_out(
    spark: SparkSession, tmp_path: Path, half: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "GRACE_S", 0.3)
    how, name = half
    lock = OwnerLock(spark, tmp_path / "lake")
    with held(tmp_path / "lake" / name, how), pytest.raises(LakeLockedError, match="owned by another process"):
        lock.acquire()
    lock.acquire()
    lock.release()


def test_an_owner_holds_both_halves(spark: SparkSession, tmp_path: Path) -> None:
    lock = OwnerLock(spark, tmp_path / "lake")
    lock.acquire()
    for how, name in (JVM, PYTHON):
        code = f"import fcntl, sys; fcntl.{how}(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        refused = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "lake" / name)], capture_output=True, text=True, check=False
        )
        assert "BlockingIOError" in refused.stderr
    lock.release()
