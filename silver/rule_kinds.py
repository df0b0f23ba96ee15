"""The kinds of quality rules: what each asks of a row, and of which rows, and the columns worked out for them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

Bound = Decimal | datetime


class Part(BaseModel):
    """A part of conf/quality.yml: a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Where(Part):
    """The rows that a rule is of: those whose column has one of some values, or is null, or is not.

    Args:
        column: of the table.
        values: a null is none of them.
        is_null: whether the column is null.
    """

    column: str
    values: tuple[str, ...] | None = None
    is_null: bool | None = None

    def __str__(self) -> str:
        told = ", ".join(self.values) if self.values else "null" if self.is_null else "not null"
        return f"`{self.column}` is {told}"

    @model_validator(mode="after")
    def _one_condition(self) -> Where:
        if bool(self.values) == (self.is_null is not None):
            raise ValueError("give values, or is_null")
        return self


class _Named(Part):
    """What every rule has.

    Args:
        name: names it within its table.
        reason: what quarantine says of a row that breaks it; the parser adds the venue's name of the field.
        severity: reject, a row that must not be in the table; warn, only counted.
    """

    name: str
    reason: str
    severity: Literal["reject", "warn"] = "reject"


class _OfSomeRows(_Named):
    """What a rule has that may be of some rows only.

    Args:
        where: which rows; all by default.
    """

    where: Where | None = None

    def told(self, asks: str) -> str:
        """What it asks, and of which rows."""
        return asks if self.where is None else f"{asks} where {self.where}"


class _OfColumn(_OfSomeRows):
    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        return (self.column, *_columns_of(self.where))


class Required(_OfColumn):
    """The column is never null."""

    check: Literal["required"] = "required"

    def __str__(self) -> str:
        return self.told(f"`{self.column}` is not null")


class Absent(_OfColumn):
    """The column is always null."""

    check: Literal["absent"]

    def __str__(self) -> str:
        return self.told(f"`{self.column}` is null")


class Digits(_Named):
    """The value has no more digits than DECIMAL(precision, scale), zeros at its end not counted."""

    check: Literal["digits"] = "digits"
    column: str
    precision: int
    scale: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The column it looks at."""
        return (self.column,)

    def __str__(self) -> str:
        return f"`{self.column}` fits DECIMAL({self.precision},{self.scale})"


class Range(_OfColumn):
    """The value lies within bounds; `above` excludes its bound."""

    check: Literal["range"] = "range"
    above: Bound | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None

    def __str__(self) -> str:
        bounds = ((">", self.above), (">=", self.at_least), ("<=", self.at_most))
        told = [f"{sign} {_text(bound)}" for sign, bound in bounds if bound is not None]
        return self.told(f"`{self.column}` {' and '.join(told)}")

    @model_validator(mode="after")
    def _bounded(self) -> Range:
        if (self.above is None) == (self.at_least is None) and (self.above is not None or self.at_most is None):
            raise ValueError("give above or at_least, or at_most, or one of the former and the latter")
        return self


class OneOf(_OfColumn):
    """The value is one of a few."""

    check: Literal["one_of"]
    values: tuple[str, ...]

    def __str__(self) -> str:
        return self.told(f"`{self.column}` is {', '.join(self.values)}")


class Pattern(_OfColumn):
    """The whole text has a form; the pattern means the same to Java and to Python."""

    check: Literal["pattern"]
    pattern: str

    def __str__(self) -> str:
        return self.told(f"`{self.column}` has its form")


class Order(_OfSomeRows):
    """One column is not greater than another."""

    check: Literal["order"]
    lesser: str
    greater: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        return (self.lesser, self.greater, *_columns_of(self.where))

    def __str__(self) -> str:
        return self.told(f"`{self.lesser}` <= `{self.greater}`")


class Unique(_Named):
    """No two rows share their values; null is a value."""

    check: Literal["unique"] = "unique"
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.columns)}) once"


ValueRule = Required | Absent | Range | OneOf | Pattern | Order
RowRule = ValueRule | Digits
Rule = RowRule | Unique


class Product(Part):
    """The product of two columns."""

    product: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return self.product


class UsBetween(Part):
    """The microseconds from the first time to the second."""

    us_between: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return self.us_between


class UsPast(Part):
    """The microseconds of a time past the last full `every_s` seconds."""

    us_past: str
    every_s: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return (self.us_past,)


class Size(Part):
    """The number of elements of a list."""

    size: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return (self.size,)


Derived = Product | UsBetween | UsPast | Size


def _text(bound: Bound) -> str:
    return bound.strftime("%Y-%m-%d") if isinstance(bound, datetime) else f"{bound:,f}"


def _columns_of(where: Where | None) -> tuple[str, ...]:
    return () if where is None else (where.column,)
