"""Tables made in folders are what Spark would have made, and both engines hold to their contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from bronze import tables as bronze
from gold import tables as gold
from lakehouse.ddl import create_statement
from lakehouse.lake import Lake
from lakehouse.local_tables import create, exists
from silver import tables as silver
from silver.tables import TRADES

ALL = (*bronze.TABLES, *silver.TABLES, *gold.TABLES)


def first_commit(folder: Path) -> dict[str, Any]:
    lines = (folder / "_delta_log" / f"{0:020}.json").read_text().splitlines()
    return {name: content for line in lines for name, content in json.loads(line).items()}


def test_a_table_is_what_sparks_own_statement_makes(spark: SparkSession, tmp_path: Path) -> None:
    create(tmp_path / "ours", TRADES)
    properties = "spark.databricks.delta.properties.defaults"
    for name, value in (("checkpointInterval", "100"), ("enableDeletionVectors", "false")):
        spark.conf.set(f"{properties}.{name}", value)
    try:
        spark.sql(create_statement(TRADES, f"delta.`{tmp_path / 'sparks'}`").replace(_clustering(), ""))
    finally:
        for name in ("checkpointInterval", "enableDeletionVectors"):
            spark.conf.unset(f"{properties}.{name}")
    ours, sparks = first_commit(tmp_path / "ours"), first_commit(tmp_path / "sparks")
    for key in ("configuration", "description", "format", "partitionColumns"):
        assert ours["metaData"][key] == sparks["metaData"][key]
    assert json.loads(ours["metaData"]["schemaString"]) == json.loads(sparks["metaData"]["schemaString"])
    mine, its = ours["protocol"], sparks["protocol"]
    assert set(mine.pop("writerFeatures")) == set(its.pop("writerFeatures"))
    assert mine == its


def _clustering() -> str:
    return f" CLUSTER BY ({', '.join(TRADES.cluster_by)})"


def test_every_table_is_read_by_both_engines_and_constraints_hold_in_spark(lake: Lake) -> None:
    lake.create(*ALL)
    for table in ALL:
        assert lake.read(table).columns == table.columns
        assert [field.name for field in DeltaTable(lake.path(table)).schema().fields] == table.columns
        assert lake.version(table) == 0
    row = lake.spark.sql("SELECT 'x' AS venue, 's' AS symbol, '1' AS trade_key, 'neither' AS side")
    wrong = lake.no_rows(TRADES).unionByName(row, allowMissingColumns=True)
    with pytest.raises(Exception, match="CHECK constraint"):
        lake.append(TRADES, wrong)
    assert lake.is_empty(TRADES)


def test_what_a_kill_left_without_a_commit_is_made_and_what_is_there_stays(tmp_path: Path) -> None:
    folder = tmp_path / "trades"
    (folder / "_delta_log").mkdir(parents=True)
    assert not exists(folder)
    create(folder, TRADES)
    made = DeltaTable(folder).metadata().id
    DeltaTable(folder).create_checkpoint()
    create(folder, TRADES)
    assert DeltaTable(folder).metadata().id == made
    (folder / "_delta_log" / f"{0:020}.json").unlink()  # as the clean-up of a log does
    create(folder, TRADES)
    assert DeltaTable(folder).metadata().id == made
    assert [path.name for path in (folder / "_delta_log").glob("*.json")] == []
