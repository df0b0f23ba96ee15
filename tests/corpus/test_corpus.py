"""Every case of the corpus becomes what its file says: in the parser, in the audit's parser, in the collector."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from corpus import mutations
from corpus.cases import CASES, SOURCES, Case, Source
from corpus.readings import BAD, audits_reading, documented_reasons, fault
from corpus.wanted import TABLE_OF, Content, wanted
from hypothesis import HealthCheck, given, seed, settings

from bronze.venues import venue_of
from lakehouse.settings import load_settings
from silver.parse import parse_frame
from silver.rows import Frame, Rejected

each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_the_corpus_is_large_and_every_case_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 250
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []
    assert {case.source.name for case in CASES} == set(SOURCES)


@each_case
def test_the_parser_gives_exactly_what_the_case_says(case: Case) -> None:
    found = {} if case.is_control else dict(_parsed(case))
    assert found == {(row.table, row.row): wanted(row) for row in case.out}


def _parsed(case: Case) -> Iterator[tuple[tuple[str, int], Content]]:
    rows = parse_frame(case.frame)
    assert len({row.row for row in rows}) == len(rows)
    for row in rows:
        if isinstance(row, Rejected):
            assert len(set(row.reasons)) == len(row.reasons)
            yield ("quarantine", row.row), frozenset(row.reasons)
        else:
            yield (TABLE_OF[row.kind], row.row), vars(row)


@each_case
def test_the_audit_reads_the_case_alike(case: Case) -> None:
    found = audits_reading(case.frame)
    expected = {max(row.row, 0): BAD if row.fields is None else wanted(row) for row in case.out}
    assert found.keys() == expected.keys()
    for row, content in found.items():
        whole = expected[row]
        assert content == (whole if content == BAD else {name: whole[name] for name in content})


collected = [case for case in CASES if case.source.collector and "headers" not in case.spec]


@pytest.mark.parametrize("case", collected, ids=[case.name for case in collected])
def test_the_collector_gives_the_case_its_channel(case: Case) -> None:
    frame = case.frame
    if len(frame.payload) > load_settings().collector.max_frame_bytes:
        return  # the connection ends: tests/bronze/test_connection.py
    assert case.source.collector is not None
    envelope = venue_of(case.source.collector).envelope(frame.payload, frame.venue)
    assert (envelope.venue, envelope.channel) == (frame.venue, frame.channel)


def test_every_reason_of_the_corpus_is_documented_and_every_documented_one_has_a_case() -> None:
    used = {reason.partition(":")[0] for case in CASES for row in case.out for reason in row.reasons}
    # Needs two frames: tests/silver/test_refine.py.
    assert used | {"conflicting_duplicate"} == documented_reasons()


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_single_damage_is_named_and_read_alike_by_parser_and_audit(source: Source) -> None:
    for frame in mutations.single_damages(source):
        assert fault(frame) is None, frame


SEED = int(os.environ.get("CRYPTOLAKE_TEST_SEED") or random.randrange(2**32))  # noqa: S311


@seed(SEED)
@settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(mutations.frames())
def test_damage_is_named_and_read_alike_by_parser_and_audit(frame: Frame) -> None:
    assert fault(frame) is None, f"seed {SEED}"
