"""Reads the lake's tables by delta-rs, as they grow, without a JVM: cheap enough for a console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError

from lakehouse.home import lake_folder
from lakehouse.settings import Settings

Rows = list[dict[str, Any]]
Filters = Sequence[tuple[str, str, Any]]
_ATTEMPTS = 3


class LakeReader:
    """Open tables of one lake, brought up to date at every look.

    Args:
        settings: the home.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = lake_folder(settings)
        self._tables: dict[str, DeltaTable] = {}

    def version(self, table: str) -> int | None:
        """The newest version of a table (`schema.name`); None when there is no table yet."""
        found = self._table(table)
        return None if found is None else found.version()

    def row_count(self, table: str) -> int:
        """How many rows a table holds, from its log alone."""
        actions = self._actions(table)
        return 0 if actions is None else sum(n or 0 for n in actions["num_records"].to_pylist())

    def greatest(self, table: str, column: str) -> Any:
        """The greatest value of a column, from the statistics of the log alone; None when unknown."""
        actions = self._actions(table)
        name = f"max.{column}"
        if actions is None or name not in actions.column_names:
            return None
        return max((value for value in actions[name].to_pylist() if value is not None), default=None)

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns; empty when there is no table yet."""
        found = self._table(table)
        return [] if found is None else [field.name for field in found.schema().fields]

    def rows(self, sql: str, **tables: str) -> Rows:
        """Answer a query; empty while one of its tables is not there.

        Args:
            sql: DataFusion's SQL over the names given.
            tables: name in the query to table (`schema.name`).
        """
        found = self.arrow(sql, **tables)
        return [] if found is None else found.to_pylist()

    def arrow(self, sql: str, **tables: str) -> pa.Table | None:
        """Answer a query with an Arrow table; None while one of its tables is not there.

        Args:
            sql: DataFusion's SQL over the names given.
            tables: name in the query to table (`schema.name`).
        """
        for attempt in range(_ATTEMPTS):
            opened = {name: self._table(table) for name, table in tables.items()}
            builder = QueryBuilder()
            for name, table in opened.items():
                if table is None:
                    return None
                builder.register(name, table)
            try:
                return pa.table(builder.execute(sql).read_all())
            except Exception:
                # The owner may have removed a file between our look at the log and the read of it.
                self._tables.clear()
                if attempt == _ATTEMPTS - 1:
                    raise
        return None

    def rows_where(self, table: str, columns: Sequence[str], filters: Filters) -> Rows:
        """Read columns of the rows that all conditions hold for; empty while the table is not there.

        Args:
            table: `schema.name`.
            columns: which.
            filters: (column, operator, value); files that their statistics rule out are not read.
        """
        for attempt in range(_ATTEMPTS):
            found = self._table(table)
            if found is None:
                return []
            try:
                rows: Rows = found.to_pyarrow_table(columns=list(columns), filters=list(filters)).to_pylist()
                return rows
            except Exception:
                # As above.
                self._tables.clear()
                if attempt == _ATTEMPTS - 1:
                    raise
        return []

    def _actions(self, table: str) -> pa.Table | None:
        found = self._table(table)
        return None if found is None else pa.table(found.get_add_actions(flatten=True))

    def _table(self, name: str) -> DeltaTable | None:
        table = self._tables.get(name)
        try:
            if table is not None:
                table.update_incremental()
                return table
        except DeltaError:
            del self._tables[name]
        path = self._folder / name.replace(".", "/")
        if not _first_commit(path):
            return None
        self._tables[name] = DeltaTable(str(path))
        return self._tables[name]


def _first_commit(path: Path) -> bool:
    return next((path / "_delta_log").glob("*.json"), None) is not None
