from __future__ import annotations

import pyarrow as pa
from pyspark.sql import SparkSession

from lakehouse.arrow import frame_of


def test_no_row_is_lost_after_an_empty_batch(spark: SparkSession) -> None:
    whole = pa.table({"n": [1, 2, 3]})
    pieces = pa.concat_tables([whole.slice(0, 2), whole.slice(0, 0), whole.slice(2)])
    assert [batch.num_rows for batch in pieces.to_batches()] == [2, 0, 1]
    assert sorted(row.n for row in frame_of(spark, pieces).collect()) == [1, 2, 3]


def test_a_table_without_rows_keeps_its_columns(spark: SparkSession) -> None:
    nothing = frame_of(spark, pa.table({"n": pa.array([], pa.int64()), "s": pa.array([], pa.string())}))
    assert nothing.dtypes == [("n", "bigint"), ("s", "string")]
    assert nothing.collect() == []
