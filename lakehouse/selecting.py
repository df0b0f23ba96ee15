"""Runs a SELECT, in the SQL that DuckDB and Spark share, on rows in memory, in files, or in a frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
from pyarrow.dataset import Dataset
from pyspark.sql import DataFrame

from lakehouse.arrow import frame_of
from lakehouse.conditions import AnyOf, fulfils, where_clause
from lakehouse.errors import OutOfRangeError

Rows: TypeAlias = "DataFrame | pa.Table | pa.RecordBatchReader | Dataset"


@contextmanager
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a connection to this process's DuckDB, with names of its own: to make one takes longer than most queries."""
    with _database().cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def select(query: str, rows: Rows, any_of: AnyOf = (), **beside: pa.Table) -> pa.Table:
    """Run it where the rows are: DuckDB takes from files and from memory the columns that the query names.

    Args:
        query: from `{rows}`; its names are of contracts, and it holds no value of a user's.
        rows: a reader is read to its end.
        any_of: conditions for the rows that it sees; none for every row.
        beside: small tables that it joins, each as `{its name}`.

    Returns:
        what it yields, times in UTC.

    Raises:
        OutOfRangeError: DuckDB cannot hold a figure on the way.
    """
    if isinstance(rows, DataFrame):
        spark = rows.sparkSession
        frames: dict[str, Any] = {name: frame_of(spark, table) for name, table in beside.items()}
        return spark.sql(query, rows=rows.where(fulfils(any_of)) if any_of else rows, **frames).toArrow()
    where, values = where_clause(any_of)
    with engine() as connection:
        connection.register("given", rows)
        # Names are of contracts, values are bound.
        names = {"rows": f"(SELECT * FROM given {where})", **{name: name for name in beside}}  # noqa: S608
        for name, table in beside.items():
            connection.register(name, table)
        for name, stands_for in names.items():
            query = query.replace(f"{{{name}}}", stands_for)
        try:
            return connection.sql(query, params=values).to_arrow_table()
        except duckdb.OutOfRangeException as error:
            raise OutOfRangeError(f"DuckDB: {error}") from error
