"""The rows of a table as Great Expectations takes them: every value exact, every null None."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from silver.rule_kinds import Derived, Digits, Product, UsBetween, UsPast
from silver.rules import TableRules

_EXACT = Context(prec=200)
_US = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
Values = list[Any]


def digits_column(column: str) -> str:
    """The name of the column that spells out the digits of a number."""
    return f"{column} in digits"


def batch_of(rows: pa.Table, rules: TableRules) -> pd.DataFrame:
    """Make a batch of a table's rows, with the columns worked out that its rules need.

    Columns are of Python objects: pandas' own numbers would make a float of a Decimal and of a whole number beside a
    null, and NaN of a null. So take few rows at once: an object takes 30 to 110 bytes.

    Args:
        rows: the columns that the rules look at.
        rules: of the table.
    """
    values = {name: _objects(rows.column(name)) for name in rules.columns}
    digits = {rule.column: rule for rule in rules.row_rules if isinstance(rule, Digits)}

    def operand(name: str) -> Values:
        return (
            [each if _fits(each, digits[name]) else None for each in values[name]] if name in digits else values[name]
        )

    derived = {name: _worked_out(each, operand) for name, each in rules.derived.items()}
    spelt = {digits_column(name): [_in_digits(each) for each in values[name]] for name in digits}
    return _batch({**values, **derived, **spelt})


def keys_of(rows: pa.Table, rules: TableRules) -> pd.DataFrame:
    """Make a batch of the columns that name a row, of as many rows as you like."""
    return _batch({name: _objects(rows.column(name)) for name in rules.key})


def digits_pattern(rule: Digits) -> str:
    """The form that a number spelt out has when it fits."""
    return rf"\A-?[0-9]{{0,{rule.precision - rule.scale}}}(?:\.[0-9]{{1,{rule.scale}}})?\Z"


def _batch(columns: Mapping[str, Values]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(held, dtype=object) for name, held in columns.items()}, dtype=object)


def _objects(column: pa.ChunkedArray) -> Values:
    """The values of a column; those that are the same are one object."""
    known: dict[Any, Any] = {}
    values = column.to_pylist()
    return values if pa.types.is_nested(column.type) else [known.setdefault(each, each) for each in values]


def _in_digits(value: Decimal | None) -> str | None:
    """A number without exponent, and without zeros at its ends."""
    if value is None:
        return None
    text = f"{value:f}".lstrip("0") if value >= 0 else "-" + f"{value:f}"[1:].lstrip("0")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fits(value: Decimal | None, rule: Digits) -> bool:
    if value is None or not value:
        return True
    scaled = value.scaleb(rule.scale, _EXACT)
    return scaled == scaled.to_integral_value() and value.adjusted() < rule.precision - rule.scale


def _worked_out(derived: Derived, operand: Callable[[str], Values]) -> Values:
    if isinstance(derived, Product):
        a, b = map(operand, derived.product)
        return [None if x is None or y is None else _EXACT.multiply(x, y) for x, y in zip(a, b, strict=True)]
    if isinstance(derived, UsBetween):
        starts, ends = map(operand, derived.us_between)
        return [None if x is None or y is None else (y - x) // _US for x, y in zip(starts, ends, strict=True)]
    if isinstance(derived, UsPast):
        unit_us = derived.every_s * 1_000_000
        return [None if x is None else (x - _EPOCH) // _US % unit_us for x in operand(derived.us_past)]
    return [None if x is None else len(x) for x in operand(derived.size)]
