"""Tells the first copy of a key from further ones, and further ones from contradictions."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f

VERDICT = "verdict"
NEW = "new"
SAME = "same"
CONFLICT = "conflict"
CONFLICT_REASON = "conflicting_duplicate"
# The order in which copies came; the first one counts.
ARRIVAL = ("received_at", "topic", "partition", "offset", "row", "topic_id")


def judge_copies(rows: DataFrame, stored: DataFrame | None, key: Sequence[str], values: Sequence[str]) -> DataFrame:
    """Judge every row of a batch against the copy that counts: the stored one, else the first to arrive.

    Args:
        rows: the batch, with the columns of `key`, `values` and ARRIVAL.
        stored: rows of the table that may hold copies, each key once; None when there can be none.
        key: columns that name a row, never null.
        values: columns in which copies must agree.

    Returns:
        rows with `verdict`: new (to be written), same (a further copy), conflict (differs from the one that counts).
    """
    copies = Window.partitionBy(*key).orderBy(*ARRIVAL)
    judged = rows.withColumns(
        {
            "_place": f.row_number().over(copies),
            "_first": f.first(f.struct(*values)).over(copies),
            "_stored": _nothing(rows, values),
        }
    )
    if stored is not None:
        known = stored.select(*key, f.struct(*values).alias("_stored"))
        judged = judged.drop("_stored").join(known, list(key), "left")
    agrees = f.struct(*values).eqNullSafe(f.coalesce("_stored", "_first"))
    verdict = (
        f.when(f.col("_stored").isNull() & (f.col("_place") == 1), NEW)
        .when(agrees, SAME)
        .otherwise(CONFLICT)
        .alias(VERDICT)
    )
    return judged.select(*rows.columns, verdict)


def conflicts(judged: DataFrame) -> DataFrame:
    """The contradictions, as the identity of their rows and the reason."""
    reason = f.array(f.lit(CONFLICT_REASON)).cast("array<string>").alias("reasons")  # as the table: of nullable strings
    return judged.where(f.col(VERDICT) == CONFLICT).select(*("topic_id", "topic", "partition", "offset", "row"), reason)


def _nothing(rows: DataFrame, values: Sequence[str]) -> Column:
    kind = ", ".join(f"{name}: {rows.schema[name].dataType.simpleString()}" for name in values)
    return f.lit(None).cast(f"struct<{kind}>")
