"""A MERGE by the key of a table: its source and its SQL; names are of contracts and of this code, never a user's."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from lakehouse.arrow import contract_schema, padded
from lakehouse.conditions import Condition
from lakehouse.table import Table

_GONE = "_gone"


def merge_source(table: Table, rows: pa.Table, delete: pa.Table | None) -> pa.Table:
    """Put rows that stay and keys of rows that go into one table.

    Args:
        table: the contract.
        rows: its columns.
        delete: columns of its key.
    """
    schema = contract_schema(table)
    parts, gone = [rows.select(schema.names).cast(schema)], [pa.repeat(False, rows.num_rows)]
    if delete is not None:
        keys = {name: delete[name] for name in table.key}
        parts.append(pa.table(padded(keys, delete.num_rows, schema), schema=schema))
        gone.append(pa.repeat(True, delete.num_rows))
    return pa.concat_tables(parts).append_column(_GONE, pa.concat_arrays(gone))


def merge_statement(table: Table, identifier: str, view: str, within: Condition) -> str:
    """SQL that inserts, replaces and deletes by the key.

    Args:
        table: the contract.
        identifier: its name in SQL.
        view: of what `merge_source` made.
        within: comparisons of times that hold for every row of these keys, so that other files are not read.
    """
    on_key = [f"t.{name} <=> s.{name}" for name in table.key]
    condition = " AND ".join([*on_key, *(_in_sql(*comparison) for comparison in within)])
    assignments = ", ".join(f"t.{c} = s.{c}" for c in table.columns)
    return (
        f"MERGE INTO {identifier} t USING {view} s ON {condition}"  # noqa: S608
        f" WHEN MATCHED AND s.{_GONE} THEN DELETE WHEN MATCHED THEN UPDATE SET {assignments}"
        f" WHEN NOT MATCHED AND NOT s.{_GONE} THEN INSERT ({', '.join(table.columns)})"
        f" VALUES ({', '.join(f's.{c}' for c in table.columns)})"
    )


def _in_sql(column: str, sign: str, time: datetime) -> str:
    return f"t.{column} {sign} timestamp_micros({int(time.timestamp()) * 1_000_000 + time.microsecond})"
