"""The rules of one table as a suite of Great Expectations.

Importing this module imports Great Expectations, which takes seconds. Before that it switches analytics off: 1.24.1 has
none, other versions send them.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import pandas as pd
import pyarrow as pa
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column

from cryptolake.quality.batch import batch_of, digits_column, digits_pattern, keys_of
from lakehouse.errors import CryptolakeError, SettingsError
from silver.rule_kinds import (
    Absent,
    Bound,
    Digits,
    OneOf,
    Order,
    Pattern,
    Range,
    Required,
    Rule,
    Unique,
    ValueRule,
    Where,
)
from silver.rules import TableRules

gxe: Any = importlib.import_module("great_expectations.expectations")  # it does not say what it exports

# It says for every decimal that it writes a float of it, of a copy that nobody reads.
_TALKATIVE = logging.getLogger("great_expectations")


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one rule.

    Args:
        rule: the rule.
        expectation: the expectation that stands for it.
        unexpected: places of the rows that break it, ascending.
    """

    rule: Rule
    expectation: str
    unexpected: tuple[int, ...]


class Suite:
    """The suite of one table, used for batch after batch.

    Args:
        table: the table's name.
        rules: its rules.
        rows_at_once: how many rows are made objects of Python at once; the rule of the key alone takes all.
    """

    def __init__(self, table: str, rules: TableRules, rows_at_once: int) -> None:
        self._table = table
        self._rules = rules
        self._rows_at_once = rows_at_once
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("lake")
        self._batches = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("newest")
        of_keys = [rule for rule in rules.rules if isinstance(rule, Unique)]
        self._of_rows = context.suites.add(_suite(f"{table} rows", rules.row_rules))
        self._of_keys = context.suites.add(_suite(f"{table} keys", of_keys))

    def judge(self, rows: pa.Table) -> list[Verdict]:
        """Judge rows by all rules, in their order.

        Args:
            rows: the columns that the rules look at.

        Raises:
            CryptolakeError: an expectation could not be evaluated.
        """
        found = self._judge(self._of_keys, keys_of(rows, self._rules))
        for start in range(0, max(rows.num_rows, 1), self._rows_at_once):
            part = batch_of(rows.slice(start, self._rows_at_once), self._rules)
            for name, (expectation, places) in self._judge(self._of_rows, part).items():
                _, before = found.get(name, (expectation, []))
                found[name] = expectation, before + [start + place for place in places]
        return [Verdict(rule, found[rule.name][0], tuple(found[rule.name][1])) for rule in self._rules.rules]

    def _judge(self, suite: Any, batch: pd.DataFrame) -> dict[str, tuple[str, list[int]]]:
        """The expectation of each rule, and the places in the batch that it did not expect."""
        # A validation definition would keep every result in its context, batch after batch.
        held = self._batches.get_batch({"dataframe": batch})
        with _quiet():
            run = held.validate(suite, result_format={"result_format": "COMPLETE"})
        return dict(map(self._told, run.results))

    def _told(self, result: Any) -> tuple[str, tuple[str, list[int]]]:
        config = result.expectation_config
        name = str(config.meta["rule"])
        places = result.result.get("unexpected_index_list")
        if places is None:
            raise CryptolakeError(
                f"{self._table}: the rule {name} could not be evaluated ({_first_fault(result.exception_info)})",
                "Does conf/quality.yml fit the table's columns?",
            )
        return name, (str(config.type), sorted(map(int, places)))


def _suite(name: str, rules: Iterable[Rule]) -> Any:
    return gx.ExpectationSuite(name=name, expectations=[_expectation(rule) for rule in rules])


def _expectation(rule: Rule) -> Any:
    meta = {"rule": rule.name}
    if isinstance(rule, Digits):
        column, regex = digits_column(rule.column), digits_pattern(rule)
        return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=regex, meta=meta)
    if isinstance(rule, Unique):
        # By default it would pass over rows of nulls.
        return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), ignore_row_if="never", meta=meta)
    return _of_values(rule, {"meta": meta, "row_condition": _condition(rule.where)})


def _condition(where: Where | None) -> Any:
    if where is None:
        return None
    column = Column(where.column)
    if where.values:
        return column.is_in(list(where.values))
    return column.is_null() if where.is_null else column.is_not_null()


def _of_values(rule: ValueRule, beside: dict[str, Any]) -> Any:
    if isinstance(rule, Required):
        return gxe.ExpectColumnValuesToNotBeNull(column=rule.column, **beside)
    if isinstance(rule, Absent):
        return gxe.ExpectColumnValuesToBeNull(column=rule.column, **beside)
    if isinstance(rule, OneOf):
        return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values), **beside)
    if isinstance(rule, Pattern):
        return gxe.ExpectColumnValuesToMatchRegex(column=rule.column, regex=rf"\A(?:{rule.pattern})\Z", **beside)
    if isinstance(rule, Order):
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=rule.greater,
            column_B=rule.lesser,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            **beside,
        )
    above = rule.above is not None
    least, most = (_bound(rule, bound) for bound in (rule.above if above else rule.at_least, rule.at_most))
    return gxe.ExpectColumnValuesToBeBetween(
        column=rule.column, min_value=least, max_value=most, strict_min=above, **beside
    )


def _bound(rule: Range, bound: Bound | None) -> Bound | None:
    # It makes a float of a bound. Values stay as they are, and Python compares a Decimal with a float exactly.
    if isinstance(bound, Decimal) and Decimal(float(bound)) != bound:
        raise SettingsError(
            f"Quality rules: the bound {bound} of {rule.name} is no float", "Take a bound that is, e.g. a whole number."
        )
    return bound


def _first_fault(info: Any) -> str:
    found = [info] if "exception_message" in info else list(info.values())
    messages = [str(each.get("exception_message") or "") for each in found if isinstance(each, dict)]
    return next((text.splitlines()[0][:200] for text in messages if text), "it gave no result")


@contextmanager
def _quiet() -> Iterator[None]:
    before = _TALKATIVE.level
    _TALKATIVE.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _TALKATIVE.setLevel(before)
