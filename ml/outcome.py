"""What came of one prediction, by the same rule that `ml.labels` gives training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from ml.labels import DOWN, FLAT, UP

MINUTE = timedelta(minutes=1)
MATURED, EXPIRED = "matured", "expired"
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_EIGHT_PLACES = Decimal("1e-8")


@dataclass(frozen=True)
class Outcome:
    """The columns of gold.predictions that are filled when the horizon is over; see that table."""

    actual_price: Decimal | None
    actual_change: Decimal | None
    correct: bool | None
    label_status: str


def outcome(
    prediction: Mapping[str, object],
    closes: Mapping[datetime, Decimal],
    venue_minute: datetime,
    grace_minutes: int,
) -> Outcome | None:
    """Say what came of a prediction, or None while its horizon is not over.

    It is over once the symbol's bar of the minute that ends at target_time is stored, or, when the symbol did not trade
    in that minute, once its venue's bars are `grace_minutes` past it. The price at the target is the close of the
    symbol's last bar in (feature_time, target_time]; without one the prediction has expired.

    Args:
        prediction: feature_time, target_time, price and direction.
        closes: the symbol's stored closes, by the start of their minute.
        venue_minute: the newest minute of which the venue has a stored bar.
        grace_minutes: see above.
    """
    feature_time, target_time = prediction["feature_time"], prediction["target_time"]
    price, direction = prediction["price"], prediction["direction"]
    assert isinstance(feature_time, datetime)  # noqa: S101 - narrows the row's types
    assert isinstance(target_time, datetime)  # noqa: S101
    assert isinstance(price, Decimal)  # noqa: S101
    last_minute = target_time - MINUTE
    if last_minute not in closes and venue_minute < last_minute + grace_minutes * MINUTE:
        return None
    traded = [minute for minute in closes if feature_time <= minute <= last_minute]
    if not traded:
        return Outcome(None, None, None, EXPIRED)
    actual = closes[max(traded)]
    move = UP if actual > price else DOWN if actual < price else FLAT
    return Outcome(actual, change_pct(price, actual), None if move == FLAT else move == direction, MATURED)


def change_pct(price: Decimal, actual_price: Decimal) -> Decimal:
    """100 x (actual_price / price - 1), percent, half up to 8 places."""
    change = _EXACT.divide(100 * (actual_price - price), price)
    return change.quantize(_EIGHT_PLACES, context=_EXACT)
