"""The quality rules of silver's tables, as conf/quality.yml states them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakehouse.errors import SettingsError

Bound = Decimal | datetime


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Named(_Part):
    """What every rule has.

    Args:
        name: names it within its table.
        reason: what quarantine says of a row that breaks it; the parser adds the venue's name of the field.
        severity: reject, a row that must not be in the table; warn, only counted.
    """

    name: str
    reason: str
    severity: Literal["reject", "warn"] = "reject"


class _OfColumn(_Named):
    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        return (self.column,)


class Required(_OfColumn):
    """The column is never null."""

    check: Literal["required"] = "required"

    def __str__(self) -> str:
        return f"`{self.column}` is not null"


class Digits(_OfColumn):
    """The value has no more digits than DECIMAL(precision, scale), zeros at its end not counted."""

    check: Literal["digits"] = "digits"
    precision: int
    scale: int

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
        return f"`{self.column}` {' and '.join(told)}"

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
        return f"`{self.column}` is {', '.join(self.values)}"


class Pattern(_OfColumn):
    """The whole text has a form; the pattern means the same to Java and to Python."""

    check: Literal["pattern"]
    pattern: str

    def __str__(self) -> str:
        return f"`{self.column}` has its form"


class Order(_Named):
    """One column is not greater than another."""

    check: Literal["order"]
    lesser: str
    greater: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        return (self.lesser, self.greater)

    def __str__(self) -> str:
        return f"`{self.lesser}` <= `{self.greater}`"


class Unique(_Named):
    """No two rows share their values; null is a value."""

    check: Literal["unique"] = "unique"
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.columns)}) once"


ValueRule = Required | Range | OneOf | Pattern | Order
RowRule = ValueRule | Digits
Rule = RowRule | Unique


class Product(_Part):
    """The product of two columns."""

    product: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return self.product


class UsBetween(_Part):
    """The microseconds from the first time to the second."""

    us_between: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return self.us_between


class UsPast(_Part):
    """The microseconds of a time past the last full `every_s` seconds."""

    us_past: str
    every_s: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return (self.us_past,)


class Size(_Part):
    """The number of elements of a list."""

    size: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is worked out from."""
        return (self.size,)


Derived = Product | UsBetween | UsPast | Size


class Number(_Part):
    """An exact number: DECIMAL(precision, scale), its least value if it has one, and the reason of what is below it."""

    precision: int
    scale: int
    above: Decimal | None = None
    at_least: Decimal | None = None
    reason: str = "non_positive"


class Limits(_Part):
    """Limits that hold for every source.

    Args:
        frame_bytes: a longer frame is quarantined whole.
        amount: the greatest price x quantity.
        earliest: no event is older.
        ahead_us: how far an event may be ahead of the clock that received it.
    """

    frame_bytes: int
    amount: Decimal
    earliest: datetime
    ahead_us: int


class TableRules(_Part):
    """What the rows of one table must be.

    Args:
        looks_at: times of a row by which a check finds the newest rows.
        key: the columns that name a row once.
        required: columns that are never null.
        numbers: columns with exact numbers, and the kind of number.
        derived: columns worked out for rules.
        rules: all rules; those of key, required and numbers come first once `load_rules` has spelt them out.
    """

    looks_at: tuple[str, ...]
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    numbers: Mapping[str, str] = Field(default_factory=dict)
    derived: Mapping[str, Derived] = Field(default_factory=dict)
    rules: tuple[Annotated[Rule, Field(discriminator="check")], ...]

    @property
    def row_rules(self) -> tuple[RowRule, ...]:
        """The rules that one row alone can break."""
        return tuple(rule for rule in self.rules if not isinstance(rule, Unique))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that the rules look at, and what finds the newest rows."""
        looked_at = [name for rule in self.rules for name in rule.columns]
        below = [name for derived in self.derived.values() for name in derived.columns]
        return tuple(name for name in dict.fromkeys((*self.looks_at, *looked_at, *below)) if name not in self.derived)

    def spelt_out(self, numbers: Mapping[str, Number]) -> TableRules:
        """The same with a rule for each required column, one or two for each number, and one for the key."""
        rules: list[Rule] = [Unique(name="key_once", reason="duplicate_key", columns=self.key)]
        rules += [Required(name=f"{name}_present", reason="null_field", column=name) for name in self.required]
        for name, kind in self.numbers.items():
            number = numbers[kind]
            size = {"precision": number.precision, "scale": number.scale}
            rules.append(Digits(name=f"{name}_digits", reason="precision_exceeded", column=name, **size))
            if number.above is None and number.at_least is None:
                continue
            least = {"above": number.above, "at_least": number.at_least}
            rules.append(Range(name=f"{name}_range", reason=number.reason, column=name, **least))
        return self.model_copy(update={"rules": (*rules, *self.rules)})


class Rules(_Part):
    """All of conf/quality.yml.

    Args:
        rule_version: every quarantined row carries it.
        limits: what holds for every source.
        numbers: kinds of exact numbers.
        patterns: forms of text that several tables share.
        tables: the rules by the table's name.
    """

    rule_version: str
    limits: Limits
    numbers: Mapping[str, Number]
    patterns: Mapping[str, str]
    tables: Mapping[str, TableRules]

    @model_validator(mode="after")
    def _consistent(self) -> Rules:
        for name, table in self.tables.items():
            if unknown := sorted(set(table.numbers.values()) - set(self.numbers)):
                raise ValueError(f"{name}: no such number: {', '.join(unknown)}")
            names = [rule.name for rule in table.spelt_out(self.numbers).rules]
            if twice := sorted({rule for rule in names if names.count(rule) > 1}):
                raise ValueError(f"{name}: two rules are called {', '.join(twice)}")
        return self


def read_rules(text: str) -> Rules:
    """Read the text of a file of rules, with every rule spelt out.

    Raises:
        SettingsError: it is no YAML, or a key is unknown, missing, or has a value that cannot be used.
    """
    try:
        rules = Rules.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise SettingsError(f"The quality rules are no YAML: {error}", "Mend conf/quality.yml.") from None
    except ValidationError as error:
        raise SettingsError(f"Quality rules: {_problems(error)}", "Mend conf/quality.yml.") from None
    tables = {name: table.spelt_out(rules.numbers) for name, table in rules.tables.items()}
    return rules.model_copy(update={"tables": tables})


@lru_cache(maxsize=1)
def load_rules() -> Rules:
    """Read conf/quality.yml.

    Raises:
        SettingsError: it cannot be used.
    """
    return read_rules((resources.files("conf") / "quality.yml").read_text(encoding="utf-8"))


def _problems(error: ValidationError) -> str:
    found: list[Any] = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)


def _text(bound: Bound) -> str:
    return bound.strftime("%Y-%m-%d") if isinstance(bound, datetime) else f"{bound:,f}"
