"""Whether silver gave every venue symbol its one canonical name."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.symbols import base_and_quote

_COLUMNS = ("venue", "venue_symbol", "symbol", "base", "quote")


class NamingCheck:
    """Collects the few distinct names of many rows.

    Args:
        examples: failures shown.
    """

    def __init__(self, examples: int) -> None:
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
            pair = base_and_quote(str(venue), str(venue_symbol))
            wanted = None if pair is None else f"{pair[0]}-{pair[1]}"
            told = (base, quote) if base is not None else pair
            if symbol != wanted or told != pair:
                self._tally.fail(rows, [f"{venue} {venue_symbol} is {symbol} ({base}, {quote}), should be {wanted}"])
        return self._tally.result()
