"""The rules of a row as the strict parser keeps them, and the names of the reasons why a row does not.

The limits are those of conf/quality.yml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

from silver.rows import Frame
from silver.rules import load_rules
from silver.strict_json import NotFinite, Number

_RULES = load_rules()
RULE_VERSION = _RULES.rule_version
MAX_FRAME_BYTES = _RULES.limits.frame_bytes
MAX_AMOUNT = _RULES.limits.amount
EARLIEST_US = (_RULES.limits.earliest - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
FUTURE_US = _RULES.limits.ahead_us
MAX_ID = 2**63 - 1
_EXACT = Context(prec=100)
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})
_TEXT_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE]([+-]?)0*([0-9]+)")
_ISO_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_BELOW = 10**11  # from here on a time is in milliseconds
_DOUBLE_DIGITS = 308  # a number with more digits before the point is no finite double


@dataclass(frozen=True)
class DecimalRule:
    """The DECIMAL(precision, scale) of a column, and whether its values may be 0, or below."""

    precision: int
    scale: int
    zero_allowed: bool = False
    signed: bool = False


def _decimal_rule(kind: str) -> DecimalRule:
    number = _RULES.numbers[kind]
    signed = number.above is None and number.at_least is None
    return DecimalRule(number.precision, number.scale, zero_allowed=number.at_least is not None, signed=signed)


PRICE = _decimal_rule("price")
QUANTITY = _decimal_rule("quantity")
VOLUME = _decimal_rule("volume")
AMOUNT = _decimal_rule("amount")
PRICE_OR_NONE = _decimal_rule("price_or_none")
QUANTITY_OR_NONE = _decimal_rule("quantity_or_none")
PRICE_CHANGE = _decimal_rule("price_change")
CHANGE_PCT = _decimal_rule("change_pct")
STATED_PRICE = _decimal_rule("stated_price")
STATED_CHANGE_PCT = _decimal_rule("stated_change_pct")


def header_reasons(frame: Frame) -> list[str]:
    """Name the Kafka headers that are missing or garbled."""
    headers = {
        "venue": frame.venue,
        "channel": frame.channel,
        "session_id": frame.session_id,
        "sequence": frame.sequence,
        "received_at_us": frame.received_us,
        "origin": frame.origin,
    }
    return [f"missing_header:{name}" for name, value in headers.items() if value is None]


def checked_decimal(field: str, value: object, rule: DecimalRule, reasons: list[str]) -> Decimal | None:
    """Turn the text of a number, quoted or not, into an exact Decimal that fits its column.

    Args:
        field: the venue's name of the field, for the reasons.
        value: a Number (JSON number), a str (quoted: plain digits only, no exponent), or anything else.
        rule: what the column holds.
        reasons: added to: wrong_type, not_finite, precision_exceeded (more digits, written zeros included, than the
            column has before or behind the point), non_positive.
    """
    if isinstance(value, str) and _TEXT_DECIMAL.fullmatch(value):
        return _fitting(field, Decimal(value), rule, reasons)
    if isinstance(value, NotFinite) or (isinstance(value, str) and value.lstrip("+-").lower() in _NOT_FINITE):
        reasons.append("not_finite")
        return None
    if not isinstance(value, str):
        reasons.append(f"wrong_type:{field}")
        return None
    exponent = _EXPONENT.fullmatch(value)
    if exponent and len(exponent[2]) > 4:
        reasons.append("precision_exceeded" if exponent[1] == "-" else "not_finite")
        return None
    if exponent and int(exponent[2]) > _DOUBLE_DIGITS and exponent[1] != "-":
        reasons.append("not_finite")
        return None
    if not isinstance(value, Number):
        reasons.append(f"wrong_type:{field}")
        return None
    return _fitting(field, Decimal(value), rule, reasons)


def _fitting(field: str, number: Decimal, rule: DecimalRule, reasons: list[str]) -> Decimal | None:
    exponent = number.as_tuple().exponent
    too_fine = isinstance(exponent, int) and -exponent > rule.scale
    too_big = bool(number) and number.adjusted() >= rule.precision - rule.scale
    bad = too_fine or too_big
    if bad:
        reasons.append("precision_exceeded")
    if not rule.signed and (number < 0 or (not number and not rule.zero_allowed)):
        reasons.append(f"non_positive:{field}")
        bad = True
    return None if bad else number


def check_amount(price: Decimal | None, quantity: Decimal | None, reasons: list[str]) -> None:
    """Add amount_overflow when price x quantity is above 1e12."""
    if price is not None and quantity is not None and _EXACT.multiply(price, quantity) > MAX_AMOUNT:
        reasons.append("amount_overflow")


def checked_integer(field: str, value: object, reasons: list[str]) -> int | None:
    """Turn a JSON integer into an int of 64 bits that is not negative; adds wrong_type, id_overflow, negative."""
    digits = str(value).removeprefix("-")
    if not isinstance(value, Number) or not digits.isdigit():
        reasons.append("not_finite" if isinstance(value, NotFinite) else f"wrong_type:{field}")
        return None
    if len(digits) > 19 or int(digits) > MAX_ID:
        reasons.append("id_overflow")
        return None
    if value.startswith("-") and int(digits):
        reasons.append(f"negative:{field}")
        return None
    return int(digits)


def checked_time_us(
    field: str, value: object, received_us: int | None, reasons: list[str], *, micros_allowed: bool
) -> int | None:
    """Turn a venue's time into us UTC, its unit told by its magnitude (1e11 <= ms < 1e14 <= us < 1e17).

    Adds bad_time_unit for seconds, nanoseconds and the like, and time_out_of_range before 2009 or more than an hour
    after it was received.
    """
    found: list[str] = []
    number = checked_integer(field, value, found)
    if number is None:
        reasons.extend("bad_time_unit" if r == "id_overflow" or r.startswith("negative") else r for r in found)
        return None
    if 10**11 <= number < 10**14:
        time_us = number * 1000
    elif micros_allowed and 10**14 <= number < 10**17:
        time_us = number
    else:
        reasons.append("bad_time_unit")
        return None
    return _in_range(time_us, received_us, reasons)


def checked_seconds_us(field: str, value: object, received_us: int | None, reasons: list[str]) -> int | None:
    """Turn whole seconds since 1970 into us UTC; adds bad_time_unit and time_out_of_range as `checked_time_us` does."""
    found: list[str] = []
    number = checked_integer(field, value, found)
    if number is None or number >= _SECONDS_BELOW:
        wrong_type = [reason for reason in found if reason.startswith(("wrong_type", "not_finite"))]
        reasons.extend(wrong_type or ["bad_time_unit"])
        return None
    return _in_range(number * 1_000_000, received_us, reasons)


def checked_iso_time_us(field: str, value: object, received_us: int | None, reasons: list[str]) -> int | None:
    """Turn ISO-8601 text that ends in Z into us UTC; adds wrong_type, bad_time_text and time_out_of_range."""
    if isinstance(value, Number | NotFinite) or not isinstance(value, str):
        reasons.append(f"wrong_type:{field}")
        return None
    found = _ISO_TIME.fullmatch(value)
    try:
        moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
    except ValueError:
        moment = None
    if found is None or moment is None:
        reasons.append("bad_time_text")
        return None
    microseconds = int((found[2] or "").ljust(6, "0"))
    time_us = (moment - _EPOCH) // timedelta(seconds=1) * 1_000_000 + microseconds
    return _in_range(time_us, received_us, reasons)


def _in_range(time_us: int, received_us: int | None, reasons: list[str]) -> int | None:
    if time_us < EARLIEST_US or (received_us is not None and time_us > received_us + FUTURE_US):
        reasons.append("time_out_of_range")
        return None
    return time_us
