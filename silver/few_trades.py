"""What trades in memory hold of each scope, and which ids are missing among them: as silver.survey and id_gaps do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

import pyarrow as pa

from silver.high_water import Span
from silver.id_gaps import Hole
from silver.missing_ids import Stretch

_TAKEN = ("venue", "symbol", "session_id", "sequence", "trade_key", "trade_id", "venue_sequence")


def spans_of(trades: pa.Table) -> list[Span]:
    """Survey trades.

    Args:
        trades: columns of silver.trades.
    """
    scopes: dict[tuple[str, str, str], list[tuple[int, str | None, int]]] = defaultdict(list)
    received_us = trades["received_at"].cast(pa.int64()).to_pylist()
    for row, received in zip(trades.select(_TAKEN).to_pylist(), received_us, strict=True):
        # Fills of one match share the number of the venue's order, so their keys tell them apart.
        key = row["trade_key"] if row["venue_sequence"] is not None else None
        numbered_by, scope, number = _number(row)
        scopes[row["venue"], scope, numbered_by].append((number, key, received))
    return [
        Span(
            venue,
            scope,
            numbered_by,
            rows=len(found),
            numbers=len({(number, key) for number, key, _ in found}),
            lowest=(lowest := min(number for number, _, _ in found)),
            highest=max(number for number, _, _ in found),
            received_us=min(received for number, _, received in found if number == lowest),
        )
        for (venue, scope, numbered_by), found in scopes.items()
    ]


def holes_of_few(trades: pa.Table, symbols: Collection[tuple[str, str]]) -> Iterator[Hole]:
    """Find the ids that are missing between the lowest and the highest of some venues and symbols.

    Args:
        trades: columns of silver.trades; copies do no harm.
        symbols: venues and symbols.
    """
    ids: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    columns = (*(trades[name] for name in ("venue", "symbol", "trade_id")), trades["received_at"].cast(pa.int64()))
    for venue, symbol, trade_id, received_us in zip(*(column.to_pylist() for column in columns), strict=True):
        if trade_id is not None and (venue, symbol) in symbols:
            ids[venue, symbol].append((trade_id, received_us))
    for of_symbol, found in ids.items():
        for (before, before_us), (after, after_us) in pairwise(sorted(found)):
            if after > before + 1:
                yield *of_symbol, Stretch(before + 1, after - 1, max(before_us, after_us))


def _number(row: dict[str, Any]) -> tuple[str, str, int]:
    if row["trade_id"] is not None:
        return "trade_id", row["symbol"], row["trade_id"]
    if row["venue_sequence"] is not None:
        return "venue_sequence", row["symbol"], row["venue_sequence"]
    return "sequence", row["session_id"], row["sequence"]
