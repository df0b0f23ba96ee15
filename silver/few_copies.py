"""Judges copies as silver.copies does, where the rows are in memory: in milliseconds, without Spark."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lakehouse.selecting import engine
from silver.copies import ARRIVAL, CONFLICT, NEW, SAME

_NUMBER = "_number"


def verdicts(rows: pa.Table, stored: pa.Table | None, key: Sequence[str], values: Sequence[str]) -> pa.Array:
    """Judge every row of a batch against the copy that counts: the stored one, else the first to arrive.

    Args:
        rows: the batch, with the columns of `key`, `values` and ARRIVAL.
        stored: rows of the table that may hold copies, each key once; None when there can be none.
        key: columns that name a row, never null.
        values: columns in which copies must agree.

    Returns:
        for each row, in their order: new (to be written), same (a further copy) or conflict (it differs from the one
        that counts).
    """
    columns = dict.fromkeys((*key, *values, *ARRIVAL))
    numbered = rows.select(list(columns)).append_column(_NUMBER, pa.array(range(rows.num_rows), pa.int64()))
    known = stored if stored is not None else rows.slice(0, 0)
    with engine() as connection:
        connection.register("batch", numbered)
        connection.register("known", known.select(list(dict.fromkeys((*key, *values)))))
        # Names of columns are those of contracts.
        return connection.sql(_query(key, values)).arrow().read_all()["verdict"].combine_chunks()


def _query(key: Sequence[str], values: Sequence[str]) -> str:
    keys = ", ".join(map(_quoted, key))
    arrival = ", ".join(f"{_quoted(name)} NULLS FIRST" for name in ARRIVAL)
    firsts = ", ".join(
        f"{_quoted(name)} AS {_quoted('v_' + name)}, first_value({_quoted(name)}) OVER copies AS {_quoted('f_' + name)}"
        for name in values
    )
    held = ", ".join(f"{_quoted(name)} AS {_quoted('s_' + name)}" for name in values)
    agrees = " AND ".join(
        f"{_quoted('v_' + name)} IS NOT DISTINCT FROM"
        f" CASE WHEN is_known THEN {_quoted('s_' + name)} ELSE {_quoted('f_' + name)} END"
        for name in values
    )
    return f"""
        WITH judged AS (
            SELECT {keys}, {_NUMBER}, row_number() OVER copies AS place, {firsts}
            FROM batch WINDOW copies AS (PARTITION BY {keys} ORDER BY {arrival})
        ), held AS (SELECT {keys}, TRUE AS is_known, {held} FROM known)
        SELECT CASE WHEN is_known IS NULL AND place = 1 THEN '{NEW}'
                    WHEN {agrees} THEN '{SAME}' ELSE '{CONFLICT}' END AS verdict
        FROM judged LEFT JOIN held USING ({keys}) ORDER BY {_NUMBER}
    """  # noqa: S608 - names are of contracts


def _quoted(name: str) -> str:
    return f'"{name}"'
