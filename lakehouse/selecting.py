"""Runs a SELECT, in the SQL that DuckDB and Spark share, on rows in memory, in files, or in a frame."""

from __future__ import annotations

from typing import TypeAlias

import duckdb
import pyarrow as pa
from pyarrow.dataset import Dataset
from pyspark.sql import DataFrame

from lakehouse.conditions import AnyOf, fulfils, where_clause

Rows: TypeAlias = "DataFrame | pa.Table | pa.RecordBatchReader | Dataset"


def select(query: str, rows: Rows, any_of: AnyOf = ()) -> pa.Table:
    """Run it where the rows are: DuckDB takes from files and from memory the columns that the query names.

    Args:
        query: from `{rows}`; its names are of contracts, and it holds no value of a user's.
        rows: a reader is read to its end.
        any_of: conditions for the rows that it sees; none for every row.

    Returns:
        what it yields, times in UTC.
    """
    if isinstance(rows, DataFrame):
        return rows.sparkSession.sql(query, rows=rows.where(fulfils(any_of)) if any_of else rows).toArrow()
    where, values = where_clause(any_of)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("given", rows)
        seen = f"(SELECT * FROM given {where})"  # noqa: S608 - names are of contracts, values are bound
        return connection.sql(query.format(rows=seen), params=values).to_arrow_table()
