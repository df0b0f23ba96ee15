"""Our own markers on channel `gap`: a lost connection on a venue without ids."""

from __future__ import annotations

from typing import Any

from silver.fields import Fields
from silver.quality import FUTURE_US
from silver.rows import WHOLE_FRAME, Frame, Gap, ParsedRow, Rejected


def parse_gap(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse `{"kind":"disconnect","from_time_us":int,"to_time_us":int,"reason":str}`."""
    if not isinstance(value, dict):
        return [Rejected(WHOLE_FRAME, ("not_object",))]
    fields = Fields(value, frame.received_us)
    fields.one_of("kind", ("disconnect",))
    from_time, to_time = fields.integer("from_time_us"), fields.integer("to_time_us")
    reason = fields.text("reason")
    if from_time is not None and to_time is not None and from_time > to_time:
        fields.reasons.append("unknown_value:to_time_us")
    if to_time is not None and frame.received_us is not None and to_time > frame.received_us + FUTURE_US:
        fields.reasons.append("time_out_of_range")
    if from_time is None or to_time is None or reason is None or fields.reasons:
        return [Rejected(WHOLE_FRAME, tuple(fields.reasons))]
    return [Gap(row=0, symbol="*", from_time=from_time, to_time=to_time, reason=reason)]
