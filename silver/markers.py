"""Our own markers on channel `gap`: a lost connection where ids do not rise by one, ids that a venue no longer has."""

from __future__ import annotations

from typing import Any

from silver.fields import Fields
from silver.quality import FUTURE_US
from silver.rows import WHOLE_FRAME, Frame, Gap, LostIds, ParsedRow, Rejected
from silver.venues.registry import venue_named

_UNRECOVERABLE = "unrecoverable"


def parse_gap(frame: Frame, value: Any) -> list[ParsedRow]:
    """Parse a marker of kind disconnect or unrecoverable."""
    if not isinstance(value, dict):
        return [Rejected(WHOLE_FRAME, ("not_object",))]
    fields = Fields(value, frame.received_us)
    kinds = ("disconnect", _UNRECOVERABLE) if frame.venue == "binance" else ("disconnect",)
    if fields.one_of("kind", kinds) == _UNRECOVERABLE:
        return [_lost_ids(frame, fields)]
    symbol = _symbol(frame, fields) if "symbol" in value else "*"
    return [_disconnect(fields, symbol, frame.received_us)]


def _disconnect(fields: Fields, symbol: str | None, received_us: int | None) -> ParsedRow:
    """Read `{"kind":"disconnect","from_time_us":int,"to_time_us":int,"reason":str}`, of one `symbol` or of all."""
    from_time, to_time = fields.integer("from_time_us"), fields.integer("to_time_us")
    reason = fields.text("reason")
    if from_time is not None and to_time is not None and from_time > to_time:
        fields.reasons.append("unknown_value:to_time_us")
    if to_time is not None and received_us is not None and to_time > received_us + FUTURE_US:
        fields.reasons.append("time_out_of_range")
    if from_time is None or to_time is None or reason is None or symbol is None or fields.reasons:
        return Rejected(WHOLE_FRAME, tuple(fields.reasons))
    return Gap(row=0, symbol=symbol, from_time=from_time, to_time=to_time, reason=reason)


def _symbol(frame: Frame, fields: Fields) -> str | None:
    name, venue = fields.text("symbol"), venue_named(str(frame.venue))
    pair = (
        venue.pair_of(frame.symbols, str(frame.venue), name)
        if name is not None and venue is not None and venue.pair_of is not None
        else None
    )
    if name is not None and pair is None:
        fields.reasons.append("unknown_symbol")
    return pair.symbol if pair else None


def _lost_ids(frame: Frame, fields: Fields) -> ParsedRow:
    """Read `{"kind":"unrecoverable","symbol":str,"from_id":int,"to_id":int}`, the symbol as Binance writes it."""
    venue_symbol = fields.text("symbol")
    pair = frame.symbols.of_binance(venue_symbol) if venue_symbol is not None else None
    if venue_symbol is not None and pair is None:
        fields.reasons.append("unknown_symbol")
    from_id, to_id = fields.integer("from_id"), fields.integer("to_id")
    if from_id is not None and to_id is not None and from_id > to_id:
        fields.reasons.append("unknown_value:to_id")
    if pair is None or from_id is None or to_id is None or fields.reasons:
        return Rejected(WHOLE_FRAME, tuple(fields.reasons))
    return LostIds(row=0, symbol=pair.symbol, from_id=from_id, to_id=to_id)
