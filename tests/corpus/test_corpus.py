"""Every case of the corpus becomes what its file says: in the parser, in the audit's parser, in the collector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from corpus.cases import CASES, SOURCES, Case
from corpus.wanted import Content, typed, wanted

from bronze.venues import venue_of
from cryptolake.audit import judge, kinds
from lakehouse.settings import load_settings
from silver.parse import parse_frame
from silver.rows import Rejected

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
            yield (f"{row.kind}s", row.row), vars(row)


@each_case
def test_the_audit_reads_the_case_alike(case: Case) -> None:
    into = judge.Judged()
    judge.Judge().judge(0, judge.Frame(**vars(case.frame)), into)
    assert into.control == case.is_control
    found: dict[int, Any] = {max(bad.row, 0): "bad" for bad in into.bad}
    for kind, rows in ((kinds.TRADES, into.trades), (kinds.CANDLES, into.candles), (kinds.GAPS, into.gaps)):
        for _, row, *values in rows:
            names = zip(kind.parsed, values, strict=True)
            found[row] = {name: typed(kind.table, name, value) for name, value in names}
    rows_wanted = {max(row.row, 0): "bad" if row.fields is None else wanted(row) for row in case.out}
    assert found.keys() == rows_wanted.keys()
    for row, content in found.items():
        whole = rows_wanted[row]
        assert content == (whole if content == "bad" else {name: whole[name] for name in content})


collected = [case for case in CASES if case.source.collector and "headers" not in case.spec]


@pytest.mark.parametrize("case", collected, ids=[case.name for case in collected])
def test_the_collector_gives_the_case_its_channel(case: Case) -> None:
    frame = case.frame
    if len(frame.payload) > load_settings().collector.max_frame_bytes:
        return  # the connection ends: tests/bronze/test_connection.py
    assert case.source.collector is not None
    envelope = venue_of(case.source.collector).envelope(frame.payload, frame.venue)
    assert (envelope.venue, envelope.channel) == (frame.venue, frame.channel)
