"""One check: the newest rows of every table of silver, judged by its rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ulid import ULID

from cryptolake.quality.batch import batch_of
from cryptolake.quality.suite import Suite, Verdict
from cryptolake.quality.text import plain
from cryptolake.reader import LakeReader
from lakehouse.errors import CryptolakeError
from lakehouse.home import lake_folder
from lakehouse.settings import Settings
from silver.rule_kinds import Rule
from silver.rules import Rules, TableRules


@dataclass(frozen=True)
class Check:
    """What became of one rule.

    Args:
        table: schema and table.
        rule: its name.
        meaning: what it asks, in words.
        expectation: the expectation that stood for it.
        reason: what quarantine calls a breach of it.
        severity: reject or warn.
        rows: how many were looked at.
        unexpected: how many broke it.
        examples: the first of these, as plain text without control characters.
    """

    table: str
    rule: str
    meaning: str
    expectation: str
    reason: str
    severity: str
    rows: int
    unexpected: int
    examples: tuple[str, ...]

    @property
    def outcome(self) -> str:
        """Passed, warned or failed."""
        if not self.unexpected:
            return "passed"
        return "failed" if self.severity == "reject" else "warned"


@dataclass(frozen=True)
class TableCheck:
    """What became of one table's rules.

    Args:
        table: schema and table.
        rows: how many were looked at.
        oldest: the least time looked at, by the first of the columns that tell how new a row is; None without rows.
        newest: the greatest.
        limited: whether there were more rows than one check takes.
        checks: one for each rule.
    """

    table: str
    rows: int
    oldest: dt.datetime | None
    newest: dt.datetime | None
    limited: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class QualityRun:
    """One check of all tables.

    Args:
        run_id: names it (ULID).
        checked_at: when.
        minutes: how far back from a table's newest row.
        rule_version: of the rules.
        tables: those that are there.
    """

    run_id: str
    checked_at: dt.datetime
    minutes: int
    rule_version: str
    tables: tuple[TableCheck, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all tables."""
        return tuple(check for table in self.tables for check in table.checks)

    def with_outcome(self, outcome: str) -> tuple[Check, ...]:
        """The checks that passed, warned or failed."""
        return tuple(check for check in self.checks if check.outcome == outcome)


class QualityCheck:
    """Checks the tables of one lake, again and again.

    Args:
        settings: the home.
        rules: of all tables.
    """

    def __init__(self, settings: Settings, rules: Rules) -> None:
        self._settings = settings.quality
        self._folder = lake_folder(settings)
        self._reader = LakeReader(settings)
        self._rules = rules
        self._suites: dict[str, Suite] = {}

    def run(self, minutes: int | None = None) -> QualityRun:
        """Judge the newest rows of every table.

        Args:
            minutes: how far back from a table's newest row; by default as the settings say.

        Raises:
            CryptolakeError: the home has no table of silver yet.
        """
        minutes = minutes or self._settings.minutes
        checked_at = dt.datetime.now(dt.UTC)
        there = [name for name in self._rules.tables if self._reader.version(name) is not None]
        if not there:
            raise CryptolakeError(
                f"There is nothing to check: no table of silver in {self._folder}",
                "Fill the lake first, e.g. with `cryptolake demo` or `cryptolake run --until-idle`.",
            )
        tables = tuple(self._check(name, self._rules.tables[name], minutes) for name in there)
        return QualityRun(str(ULID()), checked_at, minutes, self._rules.rule_version, tables)

    def _check(self, table: str, rules: TableRules, minutes: int) -> TableCheck:
        rows = self._newest_rows(table, rules, minutes)
        if table not in self._suites:
            self._suites[table] = Suite(table, rules, self._settings.rows_at_once)
        verdicts = self._suites[table].judge(rows)
        checks = tuple(self._told(table, rules, rows, verdict) for verdict in verdicts)
        times = pc.min_max(rows[rules.looks_at[0]]).as_py()
        limited = rows.num_rows == self._settings.max_rows
        return TableCheck(table, rows.num_rows, times["min"], times["max"], limited, checks)

    def _newest_rows(self, table: str, rules: TableRules, minutes: int) -> pa.Table:
        there = self._reader.columns(table)
        columns = [name for name in rules.columns if name in there]
        spans = [
            self._span(table, name, minutes, nulls=name in rules.required) for name in rules.looks_at if name in there
        ]
        selected = [_presence(name) if name in rules.asked_for else _quoted(name) for name in columns]
        # Names are of the rules, and times are our own; nothing here is a user's.
        query = (
            f"SELECT {', '.join(selected)} FROM newest WHERE {' OR '.join(spans)}"  # noqa: S608
            f" ORDER BY {_quoted(rules.looks_at[0])} DESC NULLS FIRST LIMIT {self._settings.max_rows}"
        )
        rows = self._reader.arrow(query, newest=table)
        if rows is None:
            raise CryptolakeError(f"{table} has gone while it was read", "Is the home being removed?")
        for name in rules.columns:
            if name not in columns:  # a table made before the column was
                rows = rows.append_column(name, pa.nulls(rows.num_rows))
        return rows

    def _span(self, table: str, column: str, minutes: int, *, nulls: bool) -> str:
        """The condition that a time lies in the last minutes of its column; `nulls` if one that is missing does."""
        conditions = [f"{_quoted(column)} IS NULL"] if nulls else []
        newest = self._reader.greatest(table, column)
        if newest is None:
            found = self._reader.rows(f"SELECT max({_quoted(column)}) AS newest FROM t", t=table)  # noqa: S608
            newest = found[0]["newest"] if found else None
        if isinstance(newest, dt.datetime):
            start = newest.astimezone(dt.UTC) - dt.timedelta(minutes=minutes)
            conditions.append(f"{_quoted(column)} >= TIMESTAMP '{start:%Y-%m-%dT%H:%M:%S.%f}Z'")
        return " OR ".join(conditions) or "false"

    def _told(self, table: str, rules: TableRules, rows: pa.Table, verdict: Verdict) -> Check:
        rule, places = verdict.rule, verdict.unexpected[: self._settings.examples]
        return Check(
            table=table,
            rule=rule.name,
            meaning=str(rule).replace("`", ""),
            expectation=verdict.expectation,
            reason=rule.reason,
            severity=rule.severity,
            rows=rows.num_rows,
            unexpected=len(verdict.unexpected),
            examples=_examples([rows.slice(place, 1) for place in places], rules, rule),
        )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _presence(name: str) -> str:
    """True or null: of texts and bytes that nobody looks at, a check of 100,000 rows would hold a hundred megabytes."""
    return f"CASE WHEN {_quoted(name)} IS NOT NULL THEN TRUE END AS {_quoted(name)}"


def _examples(rows: Sequence[pa.Table], rules: TableRules, rule: Rule) -> tuple[str, ...]:
    if not rows:
        return ()
    shown = list(dict.fromkeys((*rules.key, *rule.columns)))
    # By slices, because pyarrow cannot take rows of string views, which DataFusion gives.
    return tuple(map(_example, batch_of(pa.concat_tables(rows), rules)[shown].to_dict("records")))


def _example(row: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name}={plain(_text(value))}" for name, value in row.items())


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
