"""A table in a folder as its upkeep knows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from deltalake import DeltaTable

from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.maintenance.log_folder import LogFolder
from lakehouse.table import Table

Hold = Callable[[], AbstractContextManager[None]]


class TendedTable:
    """What every part of the upkeep of a table needs.

    Args:
        lake: whose owner this process is.
        table: one that delta-rs can write to.
        hold: keeps batches out while something is changed that they could see.
        first_unread: the first version that a step has still to read by the table's change feed.
    """

    def __init__(self, lake: Lake, table: Table, hold: Hold, first_unread: Callable[[], int]) -> None:
        self._lake = lake
        self._table = table
        self._hold = hold
        self._first_unread = first_unread
        self._limits = lake.settings.maintenance
        self._folder = lake.path(table)
        self._log = LogFolder(self._folder)

    def _newest(self) -> DeltaTable:
        return newest_of(self._lake, self._table)


def newest_of(lake: Lake, table: Table) -> DeltaTable:
    """The newest version of a table that delta-rs can write to.

    Raises:
        CryptolakeError: it cannot, as in a home made before tables in folders were no longer clustered.
    """
    newest = lake.past_spark(table)
    if newest is None:
        raise CryptolakeError(f"{table.name} cannot be written to by delta-rs", "Run `cryptolake maintain`.")
    return newest
