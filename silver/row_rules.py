"""The rules that one row alone can break, as conditions of Spark: all of a table in one pass over a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import DataType

from silver.rule_kinds import (
    Absent,
    Bound,
    Derived,
    Digits,
    OneOf,
    Order,
    Pattern,
    Product,
    Range,
    Required,
    RowRule,
    UsBetween,
    UsPast,
    ValueRule,
    Where,
)
from silver.rules import TableRules

BROKEN_RULES = "broken_rules"
_GREATEST = Decimal(10**18 - 1)  # what a product counts as that is too great for its DECIMAL(38,20)
_SECOND_US = 1_000_000


def with_broken_rules(frame: DataFrame, rules: TableRules) -> DataFrame:
    """Add to every row the names of the rules that it breaks, in the order of the rules.

    Args:
        frame: the columns that the rules look at; numbers may have more digits than their column in the table.
        rules: of the table.

    Returns:
        the frame with `broken_rules`, an array that is empty for a good row.
    """
    digits = [rule for rule in rules.row_rules if isinstance(rule, Digits)]
    fits = {rule.column: _fits(rule, frame.schema[rule.column].dataType) for rule in digits}
    typed = {rule.column: f.when(fits[rule.column], f.col(rule.column).try_cast(_type(rule))) for rule in digits}
    derived = derived_columns(rules, lambda name: typed.get(name, f.col(name)))

    def broken(rule: RowRule) -> Column:
        return ~(fits[rule.column] if isinstance(rule, Digits) else kept([rule], derived))

    names = [f.when(broken(rule), f.lit(rule.name)) for rule in rules.row_rules]
    return frame.withColumn(BROKEN_RULES, f.array_compact(f.array(*names)))


def kept(rules: Iterable[ValueRule], derived: Mapping[str, Column]) -> Column:
    """Say whether a row keeps all of some rules that are of it; never null, and a null breaks only `required`.

    Args:
        rules: at least one.
        derived: the columns of `derived_columns`.
    """
    return reduce(Column.__and__, [f.coalesce(_asked(rule, derived), f.lit(True)) for rule in rules])


def derived_columns(rules: TableRules, operand: Callable[[str], Column] = f.col) -> dict[str, Column]:
    """The derived columns of a table's rules.

    Args:
        rules: of the table.
        operand: yields a column by its name, as the table types it.
    """
    return {name: _worked_out(derived, operand) for name, derived in rules.derived.items()}


def _asked(rule: ValueRule, derived: Mapping[str, Column]) -> Column:
    condition = _condition(rule, derived)
    return condition if rule.where is None else ~_is_of(rule.where) | condition


def _is_of(where: Where) -> Column:
    value = f.col(where.column)
    if where.values:
        return f.coalesce(value.isin(*where.values), f.lit(False))
    return value.isNull() if where.is_null else value.isNotNull()


def _condition(rule: ValueRule, derived: Mapping[str, Column]) -> Column:
    if isinstance(rule, Order):
        return f.col(rule.lesser) <= f.col(rule.greater)
    value = derived.get(rule.column, f.col(rule.column))
    if isinstance(rule, Required):
        return value.isNotNull()
    if isinstance(rule, Absent):
        return value.isNull()
    if isinstance(rule, OneOf):
        return value.isin(*rule.values)
    if isinstance(rule, Pattern):
        return value.rlike(rf"\A(?:{rule.pattern})\z")
    return _within(rule, value)


def _within(rule: Range, value: Column) -> Column:
    bounds = []
    if rule.above is not None:
        bounds.append(value > _literal(rule.above))
    if rule.at_least is not None:
        bounds.append(value >= _literal(rule.at_least))
    if rule.at_most is not None:
        bounds.append(value <= _literal(rule.at_most))
    return reduce(Column.__and__, bounds)


def _literal(bound: Bound) -> Column:
    if isinstance(bound, datetime):
        return f.lit(bound)
    # A whole number stays one, so that whole numbers are not compared as decimals.
    return f.lit(int(bound) if bound == int(bound) else bound)


def _fits(rule: Digits, kind: DataType) -> Column:
    # The cast rounds what is too fine, and is null for what is too great. It is cast back to be compared: a type that
    # holds both may need more than 38 digits, and would lose the last one again.
    value = f.col(rule.column)
    same = value.try_cast(_type(rule)).try_cast(kind) == value
    return value.isNull() | f.coalesce(same, f.lit(False))


def _type(rule: Digits) -> str:
    return f"decimal({rule.precision},{rule.scale})"


def _worked_out(derived: Derived, operand: Callable[[str], Column]) -> Column:
    if isinstance(derived, Product):
        a, b = map(operand, derived.product)
        return f.when(a.isNotNull() & b.isNotNull(), f.coalesce(f.try_multiply(a, b), f.lit(_GREATEST)))
    if isinstance(derived, UsBetween):
        start, end = map(operand, derived.us_between)
        return f.unix_micros(end) - f.unix_micros(start)
    if isinstance(derived, UsPast):
        return f.pmod(f.unix_micros(operand(derived.us_past)), f.lit(derived.every_s * _SECOND_US))
    return f.when(operand(derived.size).isNotNull(), f.size(operand(derived.size)))
