from __future__ import annotations

from gold.tables import MODEL_SCORES, PREDICTIONS, TABLES
from lakehouse.lake import Lake


def test_tables_are_created_with_a_comment_on_every_column(lake: Lake) -> None:
    lake.create(*TABLES)
    for table in TABLES:
        described = {r["col_name"]: r for r in lake.spark.sql(f"DESCRIBE TABLE {lake.identifier(table)}").collect()}
        for field in table.schema:
            assert described[field.name]["data_type"] == field.dataType.simpleString()
            assert described[field.name]["comment"] == field.metadata["comment"]


def test_money_is_decimal_and_chances_are_double() -> None:
    types = {field.name: field.dataType.simpleString() for field in PREDICTIONS.schema}
    assert {types[c] for c in ("price", "predicted_price", "actual_price")} == {"decimal(24,12)"}
    assert types["actual_change"] == "decimal(18,8)"
    assert {types[c] for c in ("probability", "confidence")} == {"double"}
    assert {types[c] for c in types if c.endswith(("_time", "_at"))} == {"timestamp"}
    assert set(MODEL_SCORES.key) <= set(MODEL_SCORES.columns)
