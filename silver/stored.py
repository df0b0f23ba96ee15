"""Reads what a table of silver may hold copies of: by time first, since every file has all symbols and ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from lakehouse.conditions import AnyOf, Condition, spanning
from lakehouse.lake import Lake
from lakehouse.selecting import Rows, select
from silver.high_water import COPIES
from silver.kinds import TRADE, RowKind
from silver.tables import TRADES

Lacks = Callable[[str, str, int], bool]
# Dumps carry microseconds, streams milliseconds.
_SAME_TIME = timedelta(seconds=1)
_NOT_ABOVE = """
    SELECT t.venue, t.symbol, t.trade_key, t.event_time, t.session_id, t.sequence, t.trade_id, t.venue_sequence
    FROM {rows} AS t JOIN {tops} AS tops ON t.venue = tops.venue AND tops.scope =
        CASE WHEN t.trade_id IS NOT NULL OR t.venue_sequence IS NOT NULL THEN t.symbol ELSE t.session_id END
    WHERE coalesce(t.trade_id, t.venue_sequence, t.sequence) <= tops.top
"""


def stored_between(lake: Lake, kind: RowKind, earliest_us: int, latest_us: int) -> DataFrame | None:
    """Read the rows of a kind between two times, both included.

    Args:
        lake: where they are.
        kind: of the rows; a copy has its time, for it is part of the key.
        earliest_us: UTC, microseconds.
        latest_us: the same.

    Returns:
        None where the table is known to be empty: so it costs nothing.
    """
    if lake.is_empty(kind.table):
        return None
    earliest, latest = (f.timestamp_micros(f.lit(us)) for us in (earliest_us, latest_us))
    return lake.read(kind.table).where(f.col(kind.time).between(earliest, latest))


def stored_beside(lake: Lake, kind: RowKind, rows: pa.Table) -> pa.Table | None:
    """Read into memory the rows of a kind between the earliest and the latest time of some.

    Args:
        lake: where they are.
        kind: of the rows.
        rows: of this kind, at least one.

    Returns:
        None where the table is known to be empty.
    """
    if lake.is_empty(kind.table):
        return None
    return lake.rows_where(kind.table, [spanning(kind.time, rows)])


def suspects_of(trades: Rows, tops: Mapping[tuple[str, str], int], lacks: Lacks, most: int) -> pa.Table | None:
    """Take into memory the trades of a batch that silver.trades may hold already.

    Args:
        trades: columns of silver.trades.
        tops: the highest number written, by venue and scope, of at least one; above it there can be no copy.
        lacks: whether an id of a venue and symbol is known not to be there.
        most: not above the highest.

    Returns:
        what names them, and their times and numbers; None when there are more than `most`.
    """
    venues, scopes = zip(*tops, strict=True)
    known = pa.table({"venue": venues, "scope": scopes, "top": pa.array(tops.values(), pa.int64())})
    found = select(f"{_NOT_ABOVE} LIMIT {most + 1}", trades, tops=known)
    if found.num_rows > most:
        return None
    ids = zip(*(found[name].to_pylist() for name in ("venue", "symbol", "trade_id")), strict=True)
    unknown = [number is None or not lacks(venue, symbol, number) for venue, symbol, number in ids]
    return found.filter(pa.array(unknown, pa.bool_()))


def stored_trades(lake: Lake, suspects: pa.Table) -> pa.Table:
    """Read of the stored trades those that some trades are copies of.

    A copy has the time of its first one, unless something is wrong with it: so what is not found about its time is
    looked up by its number alone, in all files.

    Args:
        lake: where silver.trades is.
        suspects: as `suspects_of` gives them, at least one.
    """
    earliest, latest = pc.min_max(suspects["event_time"]).as_py().values()
    about = [("event_time", ">=", earliest - _SAME_TIME), ("event_time", "<=", latest + _SAME_TIME)]
    near = lake.select(TRADES, COPIES, [[*one, *about] for one in _by_number(suspects)], batch=_keys(suspects))
    found = set(_listed(near))
    left = suspects.filter(pa.array([key not in found for key in _listed(suspects)], pa.bool_()))
    if not left.num_rows:
        return near
    return pa.concat_tables([near, lake.select(TRADES, COPIES, _by_number(left), batch=_keys(left))])


def _by_number(trades: pa.Table) -> AnyOf:
    """Conditions that hold for the copies of some trades, and maybe for some rows more."""
    by_id, by_order = trades["trade_id"].is_valid(), trades["venue_sequence"].is_valid()
    parts = [
        ("symbol", "trade_id", by_id),
        ("symbol", "venue_sequence", pc.and_not(by_order, by_id)),
        ("session_id", "sequence", pc.invert(pc.or_(by_id, by_order))),
    ]
    return [_of_scope(some, scope, number) for scope, number, which in parts if (some := trades.filter(which)).num_rows]


def _of_scope(trades: pa.Table, scope: str, number: str) -> Condition:
    return [(name, "in", pc.unique(trades[name]).to_pylist()) for name in ("venue", scope, number)]


def _keys(trades: pa.Table) -> pa.Table:
    return trades.select(list(TRADE.key))


def _listed(trades: pa.Table) -> list[tuple[str, ...]]:
    return list(zip(*(trades[name].to_pylist() for name in TRADE.key), strict=True))
