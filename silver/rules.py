"""The quality rules of silver's tables, as conf/quality.yml states them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from lakehouse.errors import SettingsError
from silver.rule_kinds import Derived, Digits, Part, Range, Required, RowRule, Rule, Unique, Where


class Number(Part):
    """An exact number: DECIMAL(precision, scale), its least value if it has one, and the reason of what is below it."""

    precision: int
    scale: int
    above: Decimal | None = None
    at_least: Decimal | None = None
    reason: str = "non_positive"


class Limits(Part):
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


class TableRules(Part):
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

    @property
    def asked_for(self) -> frozenset[str]:
        """The columns of which it is asked only whether they are null: their values are not needed."""
        by_value = {name for rule in self.rules if not isinstance(rule, Required) for name in rule.columns}
        by_value |= {rule.where.column for rule in self.rules if isinstance(rule, Required) and rule.where}
        by_value |= {name for derived in self.derived.values() for name in derived.columns}
        return frozenset(self.columns) - by_value - {*self.looks_at}

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


class Rules(Part):
    """All of conf/quality.yml.

    Args:
        rule_version: every quarantined row carries it.
        limits: what holds for every source.
        numbers: kinds of exact numbers.
        patterns: forms of text that several tables share.
        conditions: which rows a rule is of, that several rules share.
        tables: the rules by the table's name.
    """

    rule_version: str
    limits: Limits
    numbers: Mapping[str, Number]
    patterns: Mapping[str, str]
    conditions: Mapping[str, Where]
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
