"""The rules of one table as a suite of Great Expectations.

Importing this module imports Great Expectations, which takes seconds. Before that it switches analytics off: 1.24.1 has
none, other versions send them.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig

from cryptolake.quality.batch import digits_column, digits_pattern
from lakehouse.errors import CryptolakeError, SettingsError
from silver.rules import Bound, Digits, OneOf, Order, Pattern, Range, Required, Rule, TableRules

gxe: Any = importlib.import_module("great_expectations.expectations")  # it does not say what it exports

# It says for every decimal that it writes a float of it, of a copy that nobody reads.
_TALKATIVE = logging.getLogger("great_expectations")


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one rule.

    Args:
        rule: the rule.
        expectation: the expectation that stands for it.
        unexpected: places in the batch of the rows that break it, ascending.
    """

    rule: Rule
    expectation: str
    unexpected: tuple[int, ...]


class Suite:
    """The suite of one table, used for batch after batch.

    Args:
        table: the table's name.
        rules: its rules.
    """

    def __init__(self, table: str, rules: TableRules) -> None:
        self._table = table
        self._rules = {rule.name: rule for rule in rules.rules}
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("lake")
        self._batches = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("newest")
        expectations = [_expectation(rule) for rule in rules.rules]
        self._suite = context.suites.add(gx.ExpectationSuite(name=table, expectations=expectations))

    def judge(self, batch: pd.DataFrame) -> list[Verdict]:
        """Judge a batch by all rules, in their order.

        Args:
            batch: as batch.batch_of makes it.

        Raises:
            CryptolakeError: an expectation could not be evaluated.
        """
        # A validation definition would keep every result in its context, batch after batch.
        held = self._batches.get_batch({"dataframe": batch})
        with _quiet():
            run = held.validate(self._suite, result_format={"result_format": "COMPLETE"})
        found = {verdict.rule.name: verdict for verdict in map(self._verdict, run.results)}
        return [found[name] for name in self._rules]

    def _verdict(self, result: Any) -> Verdict:
        config = result.expectation_config
        name = str(config.meta["rule"])
        places = result.result.get("unexpected_index_list")
        if places is None:
            raise CryptolakeError(
                f"{self._table}: the rule {name} could not be evaluated ({_first_fault(result.exception_info)})",
                "Does conf/quality.yml fit the table's columns?",
            )
        return Verdict(self._rules[name], str(config.type), tuple(sorted(int(place) for place in places)))


def _expectation(rule: Rule) -> Any:
    meta = {"rule": rule.name}
    if isinstance(rule, Required):
        return gxe.ExpectColumnValuesToNotBeNull(column=rule.column, meta=meta)
    if isinstance(rule, Digits):
        return gxe.ExpectColumnValuesToMatchRegex(
            column=digits_column(rule.column), regex=digits_pattern(rule), meta=meta
        )
    if isinstance(rule, OneOf):
        return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values), meta=meta)
    if isinstance(rule, Pattern):
        return gxe.ExpectColumnValuesToMatchRegex(column=rule.column, regex=rf"\A(?:{rule.pattern})\Z", meta=meta)
    if isinstance(rule, Order):
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=rule.greater,
            column_B=rule.lesser,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            meta=meta,
        )
    if isinstance(rule, Range):
        above = rule.above is not None
        least, most = (_bound(rule, bound) for bound in (rule.above if above else rule.at_least, rule.at_most))
        return gxe.ExpectColumnValuesToBeBetween(
            column=rule.column, min_value=least, max_value=most, strict_min=above, meta=meta
        )
    # By default it would pass over rows of nulls.
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), ignore_row_if="never", meta=meta)


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
