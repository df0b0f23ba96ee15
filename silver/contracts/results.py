"""What the checks of the quality rules found."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, IntegerType, LongType, StringType, StructType, TimestampType

from lakehouse.table import Table, column

QUALITY_RESULTS = Table(
    name="silver.quality_results",
    comment="What every check of the quality rules found, rule by rule.",
    schema=StructType(
        [
            column("run_id", StringType(), "names the check (ULID)"),
            column("checked_at", TimestampType(), "when it was made (UTC, us)"),
            column("table_name", StringType(), "schema and table"),
            column("rule", StringType(), "name of the rule in its table"),
            column("expectation", StringType(), "the expectation of Great Expectations that stood for it"),
            column("reason", StringType(), "what quarantine calls a breach of it"),
            column("severity", StringType(), "reject (a breach fails the check) or warn"),
            column("outcome", StringType(), "passed, warned or failed"),
            column("rows_checked", LongType(), "newest rows of the table that were looked at"),
            column("rows_unexpected", LongType(), "of which broke the rule"),
            column("examples", ArrayType(StringType()), "the first of these: key and columns, as text"),
            column("minutes", IntegerType(), "how far back from the table's newest row"),
            column("rule_version", StringType(), "version of the rules"),
        ]
    ),
    key=("run_id", "table_name", "rule"),
    writer="quality",
    properties={"delta.checkpointInterval": "100"},
    by_owner=False,
)
