"""Tables that one command writes, by delta-rs and without a JVM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake import DeltaTable

from cryptolake.waiting import wait_until
from lakehouse.errors import LakeLockedError
from lakehouse.file_lock import taken
from lakehouse.home import lake_folder
from lakehouse.local_tables import create
from lakehouse.settings import Settings
from lakehouse.table import Table


@contextmanager
def kept_table(settings: Settings, table: Table, timeout_s: float) -> Iterator[DeltaTable]:
    """Hold a table, so that no other process writes it, and make it when it is not there.

    Args:
        settings: the home.
        table: a contract that is not the owner's to write.
        timeout_s: how long to wait while another process holds it.

    Raises:
        LakeLockedError: another process has been holding it for too long.
    """
    folder = lake_folder(settings) / table.name.replace(".", "/")
    with _one_writer(folder, timeout_s):
        create(folder, table)
        yield DeltaTable(str(folder))


def keep_few_files(table: DeltaTable, most: int) -> None:
    """Make one file of many once there are more than so many; remove those that no kept version needs."""
    if len(table.file_uris()) > most:
        table.optimize.compact()
        table.vacuum(dry_run=False)


@contextmanager
def _one_writer(folder: Path, timeout_s: float) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        if not wait_until(lambda: taken(lock.fileno()), timeout_s):
            raise LakeLockedError(
                f"Another check has been writing {folder} for more than {timeout_s:.0f} s", "Check again later."
            )
        yield  # closing the file lets go
