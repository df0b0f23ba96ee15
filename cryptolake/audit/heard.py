"""From when to when each venue and symbol was heard, as bronze has it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cryptolake.audit.kinds import TRADES, Kind

_LEAST, _GREATEST = -(2**63), 2**63 - 1


class Heard:
    """Least and greatest trade id and first time of every symbol, least and greatest event time of every venue."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], tuple[int, int]] = {}
        self._times: dict[str, tuple[int, int]] = {}
        self._first: dict[tuple[str, str], int] = {}

    def take(self, kind: Kind, expected: Any) -> None:
        """Look at rows that bronze holds."""
        if kind is not TRADES:
            return
        table = pa.table(
            {
                "venue": expected.column("venue"),
                "symbol": expected.column("venue_symbol"),
                "id": expected.column("trade_id"),
                "time": expected.column("event_time").cast(pa.int64()),
            }
        )
        wanted = [("id", "min"), ("id", "max"), ("time", "min"), ("time", "max")]
        for row in table.group_by(["venue", "symbol"]).aggregate(wanted).to_pylist():
            venue, symbol = row["venue"], row["symbol"]
            if row["id_min"] is not None:
                low, high = self._ids.get((venue, symbol), (_GREATEST, _LEAST))
                self._ids[venue, symbol] = min(low, row["id_min"]), max(high, row["id_max"])
            self._first[venue, symbol] = min(row["time_min"], self._first.get((venue, symbol), _GREATEST))
            low, high = self._times.get(venue, (_GREATEST, _LEAST))
            self._times[venue] = min(low, row["time_min"]), max(high, row["time_max"])

    def ids(self, venue: str, symbol: str) -> tuple[int, int] | None:
        """Least and greatest trade id of a symbol; None when nothing of it was heard."""
        return self._ids.get((venue, symbol))

    def first_us(self, venue: str, symbol: str) -> int:
        """Least event time of a symbol; later than any when nothing of it was heard."""
        return self._first.get((venue, symbol), _GREATEST)

    def times_us(self, venue: str) -> tuple[int, int] | None:
        """Least and greatest event time of a venue; None when nothing of it was heard."""
        return self._times.get(venue)
