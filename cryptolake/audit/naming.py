"""Whether silver gave every venue symbol its one canonical name."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.symbols import Names

_COLUMNS = ("venue", "venue_symbol", "symbol", "base", "quote")


class NamingCheck:
    """Collects the few distinct names of many rows.

    Args:
        names: what they may be.
        examples: failures shown.
    """

    def __init__(self, names: Names, examples: int) -> None:
        self._names = names
        self._tally = Tally("silver symbols", "every venue symbol has the name that the tables give it", examples)
        self._seen: dict[tuple[Any, ...], int] = {}

    def take(self, batch: Any) -> None:
        """Look at rows with venue, venue_symbol and symbol, and with base and quote where there are such."""
        held = [name for name in _COLUMNS if name in batch.schema.names]
        names = pa.table({name: batch.column(name) for name in held})
        for row in names.group_by(held).aggregate([([], "count_all")]).to_pylist():
            key = tuple(row.get(name) for name in _COLUMNS)
            self._seen[key] = self._seen.get(key, 0) + row["count_all"]

    def result(self) -> CheckResult:
        """Compare the names and close the check."""
        for (venue, venue_symbol, symbol, base, quote), rows in self._seen.items():
            self._tally.count(rows)
            pairs = self._names.pairs(str(venue), str(venue_symbol))
            if not any(symbol == f"{b}-{q}" and (base is None or (base, quote) == (b, q)) for b, q in pairs):
                wanted = " or ".join(f"{b}-{q}" for b, q in sorted(pairs)) or None
                self._tally.fail(rows, [f"{venue} {venue_symbol} is {symbol} ({base}, {quote}), should be {wanted}"])
        return self._tally.result()
