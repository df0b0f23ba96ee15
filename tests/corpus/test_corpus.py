"""Every case of the corpus becomes what its file says: in the parser, in the audit's parser, in the collector."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from corpus import mutations
from corpus.cases import CASES, SOURCES, Case, Source
from corpus.readings import BAD, audits_reading, documented_reasons, fault
from corpus.wanted import TABLE_OF, Content, wanted
from hypothesis import HealthCheck, given, seed, settings

from bronze.venues import venue_of
from lakehouse.settings import load_settings
from silver.parse import CONTROL, parse_frame
from silver.rows import Frame, Rejected

LONGEST_MESSAGE_BYTES = load_settings().collector.max_frame_bytes


def test_the_corpus_is_large_and_every_case_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 250
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []
    assert {case.source.name for case in CASES} == set(SOURCES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_becomes_what_its_file_says(case: Case) -> None:
    frame = case.frame
    assert _parsed(frame) == {(row.table, row.row): wanted(row) for row in case.out}
    _assert_the_audit_agrees(case, frame)
    if case.source.collector and "headers" not in case.spec:
        _assert_the_collector_gives_its_channel(case.source.collector, frame)


def _parsed(frame: Frame) -> dict[tuple[str, int], Content]:
    if frame.channel == CONTROL:
        return {}
    rows = parse_frame(frame)
    assert len({row.row for row in rows}) == len(rows)
    found: dict[tuple[str, int], Content] = {}
    for row in rows:
        if isinstance(row, Rejected):
            assert len(set(row.reasons)) == len(row.reasons)
            found["quarantine", row.row] = frozenset(row.reasons)
        else:
            found[TABLE_OF[row.kind], row.row] = vars(row)
    return found


def _assert_the_audit_agrees(case: Case, frame: Frame) -> None:
    found = audits_reading(frame)
    expected = {max(row.row, 0): BAD if row.fields is None else wanted(row) for row in case.out}
    assert found.keys() == expected.keys()
    for row, content in found.items():
        whole = expected[row]
        assert content == (whole if content == BAD else {name: whole[name] for name in content})


def _assert_the_collector_gives_its_channel(collector: str, frame: Frame) -> None:
    if len(frame.payload) > LONGEST_MESSAGE_BYTES:
        return  # the connection ends: tests/bronze/test_connection.py
    envelope = venue_of(collector).envelope(frame.payload, frame.venue)
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
