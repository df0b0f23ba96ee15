"""Results of benchmarks as files, with the machine they come from; a wrong one is not written."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from lakehouse.lake import Lake
from lakehouse.maintenance.tended_table import newest_of
from lakehouse.table import Table

Result = dict[str, Any]
_RESULTS = Path(__file__).parent / "results"


def write_result(name: str, result: Result) -> None:
    """Write a result to benchmarks/results/<name>.json."""
    path = _RESULTS / f"{name}.json"
    path.write_text(json.dumps(_machine() | result, indent=1) + "\n", encoding="utf-8")
    print(f"written to benchmarks/results/{path.name}")


def check_rows(lake: Lake, table: Table, rows: int) -> None:
    """End the benchmark, unless a table holds so many rows."""
    with duckdb.connect() as connection:
        connection.register("held", newest_of(lake, table).to_pyarrow_dataset())
        found = connection.sql("SELECT count(*) FROM held").fetchall()[0][0]
    if found != rows:
        sys.exit(f"wrong: {table.name} has {found} rows, not {rows}")


def _machine() -> Mapping[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    versions = {name: importlib.metadata.version(name) for name in ("pyspark", "delta-spark", "deltalake", "pyarrow")}
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(), "load": os.getloadavg()[0],
            "commit": commit.stdout.strip(), "versions": versions}  # fmt: skip
