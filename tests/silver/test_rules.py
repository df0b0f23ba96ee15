"""The file of rules is read strictly: what it says is what holds, and a slip is named."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from lakehouse.errors import SettingsError
from silver import quality
from silver.missing_ids import CLOSED, OPEN, UNRECOVERABLE
from silver.replay import OUTCOMES
from silver.rule_kinds import OneOf
from silver.rules import load_rules, read_rules
from silver.tables import GAPS, QUALITY_RESULTS, QUARANTINE, TABLES

TEXT = (resources.files("conf") / "quality.yml").read_text(encoding="utf-8")


def test_the_parser_takes_its_limits_from_the_file() -> None:
    assert load_rules().rule_version == quality.RULE_VERSION
    assert (quality.MAX_AMOUNT, quality.MAX_FRAME_BYTES) == (Decimal(10) ** 12, 512 * 1024)
    assert (quality.EARLIEST_US, quality.FUTURE_US) == (1_230_768_000_000_000, 3_600_000_000)
    assert quality.PRICE == quality.DecimalRule(24, 12)
    assert quality.AMOUNT == quality.DecimalRule(38, 20, zero_allowed=True)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('rule_version: "3"', "", "rule_version: Field required"),
        ("frame_bytes:", "frame_byte:", r"limits\.frame_byte"),
        ("severity: warn}", "severity: ignore}", "severity"),
        ("check: one_of, column: side", "check: any_of, column: side", "any_of"),
        ("numbers: {price: price,", "numbers: {price: prise,", "no such number: prise"),
        ("name: event_time_ahead", "name: event_time_range", "two rules are called event_time_range"),
        ("{column: from_id, is_null: false}", "{column: from_id}", "give values, or is_null"),
        ("where: *of_ids}", "were: *of_ids}", "were: Extra inputs"),
        ("limits:", "limits: {", "no YAML"),
    ],
)
def test_a_slip_in_the_file_is_named(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(SettingsError, match=told):
        read_rules(TEXT.replace(old, new, 1))


def test_what_gaps_and_quarantine_may_say_is_what_is_written_there() -> None:
    said = {
        (name, rule.column): set(rule.values)
        for name, table in load_rules().tables.items()
        for rule in table.rules
        if isinstance(rule, OneOf)
    }
    assert said[GAPS.name, "status"] == {OPEN, CLOSED, UNRECOVERABLE}
    assert said[QUARANTINE.name, "outcome"] == set(OUTCOMES)


def test_every_table_of_silver_but_that_of_the_results_has_rules() -> None:
    assert set(load_rules().tables) == {table.name for table in TABLES} - {QUALITY_RESULTS.name}


def test_the_document_lists_the_rules_as_they_are(repo_root: Path) -> None:
    document = (repo_root / "docs" / "quality.md").read_text(encoding="utf-8")
    listed = document.split("## The rules")[1]
    wanted = []
    for name, table in load_rules().tables.items():
        wanted += [f"### {name}", "| rule | asks that | reason | severity |", "| --- | --- | --- | --- |"]
        wanted += [f"| {rule.name} | {rule} | {rule.reason} | {rule.severity} |" for rule in table.rules]
    found = [line for line in listed.splitlines() if line.startswith(("###", "|"))]
    assert found == wanted, "write these lines into docs/quality.md:\n" + "\n".join(wanted)
