"""From strictly parsed rows to rows of silver.gaps."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from silver.strict import rows_of_kind
from silver.tables import GAPS

# The stretch of a venue and symbol is named by its start here: markers carry no ids.
KEY = ("venue", "symbol", "from_time")
VALUES = ("to_time", "reason")


def gaps_of(parsed: DataFrame) -> DataFrame:
    """Take the gaps that our markers tell of, with the columns of silver.gaps and received_at.

    Nothing can bring such trades back, so a gap is born unrecoverable; it was detected when its marker was made.

    Args:
        parsed: rows as silver.strict gives them.
    """
    gaps = rows_of_kind(parsed, "gap").withColumns(
        {
            "from_id": f.lit(None).cast("bigint"),
            "to_id": f.lit(None).cast("bigint"),
            "detected_at": f.col("received_at"),
            "status": f.lit("unrecoverable"),
            "closed_at": f.lit(None).cast("timestamp"),
        }
    )
    return gaps.select(*GAPS.columns, "received_at")
