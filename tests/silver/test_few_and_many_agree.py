"""A batch refined in memory and by Spark gives the same tables: the corpus, copies of it, and contradictions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from bronze_frames import WRITTEN, Bronze
from corpus.cases import CASES
from crash_points import SEED
from made_frames import MS, RECEIVED_US
from test_refine import crash_batches, trade

from lakehouse.lake import Lake
from lakehouse.table import Table
from silver.rows import Frame
from silver.tables import TRADES

# When a row was written, which no two runs share.
_OF_THE_RUN = {"first_seen", "detected_at", "closed_at"}


def numbered(chance: random.Random) -> list[Frame]:
    """Trades with ids of a small range: copies, contradictions and holes, in no order of reception."""
    found = []
    for _ in range(60):
        number, price = chance.randrange(900, 960), chance.choice(["1.5", "1.50", "2"])
        found.append(trade(number, price, MS + number, received_us=RECEIVED_US + chance.randrange(50)))
    return found


def rows(lake: Lake, table: Table) -> list[str]:
    names = [name for name in table.columns if name not in _OF_THE_RUN]
    return sorted(map(repr, lake.rows_where(table, ()).select(names).to_pylist()))


def limited(bronze: Bronze, limit: str) -> Bronze:
    """The same tables, with nothing below a limit."""
    limits = bronze.lake.settings.lake.model_copy(update={limit: 0})
    return Bronze(Lake(bronze.lake.spark, bronze.lake.settings.model_copy(update={"lake": limits})))


def test_frames_in_memory_go_to_spark_where_too_many_are_left_to_the_strict_parser(
    new_bronze: Callable[[str], Bronze], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = numbered(random.Random(SEED))  # noqa: S311
    few, many = new_bronze("few"), limited(new_bronze("many"), "strict_frames")
    strange = [replace(frame, payload=frame.payload.replace(b'"e"', b' "e"')) for frame in frames]
    monkeypatch.setattr("silver.refine.FewBatch", None)
    counts = many.carry(strange).counts
    monkeypatch.undo()
    assert few.carry(strange).counts == counts
    assert counts["trades"] > 0
    assert rows(few.lake, TRADES) == rows(many.lake, TRADES)


def test_the_tables_are_the_same_either_way(
    new_bronze: Callable[[str], Bronze], monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"CRYPTOLAKE_TEST_SEED={SEED}")
    chance = random.Random(SEED)  # noqa: S311
    good, corpus = crash_batches(2), [case.frame for case in CASES if not case.is_huge]
    again = [replace(frame, received_us=(frame.received_us or 0) + 7) for frame in corpus if frame.received_us]
    batches = [[*good[0], *corpus, *numbered(chance)], [*good[1], *numbered(chance), *chance.sample(again, 400)]]
    few, many = new_bronze("few"), limited(new_bronze("many"), "few_frames")
    for batch in batches:
        with monkeypatch.context() as only:
            only.setattr("silver.refine.SparkBatch", None)
            counts = few.carry(batch).counts
        with monkeypatch.context() as only:
            only.setattr("silver.refine.FewBatch", None)
            assert many.carry(batch).counts == counts
    assert min(counts[name] for name in ("trades", "copies", "quarantined")) > 0
    for table in WRITTEN:
        assert rows(few.lake, table) == rows(many.lake, table), table.name
        assert rows(few.lake, table), table.name
