"""Write what silver's trades and candles say about given minutes: their bars, the trends and five minutes over them."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.conditions import Condition, in_spans
from lakehouse.conditions import Spans as Times
from lakehouse.faults import fault_point
from lakehouse.lake import Lake, Txn
from lakehouse.table import Table
from silver.bars import VALUES
from silver.closing import FIVE_MINUTES_US, MINUTE_US, BarKey, in_order
from silver.figures import bars_of, five_minutes_of, keys_table, trends_of
from silver.tables import CANDLES, FIVE_MINUTE_BARS, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS
from silver.trends import MINUTES_BEFORE, TREND_VALUES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC = pa.timestamp("us", tz="UTC")

Spans = Sequence[tuple[int, int]]  # microseconds, ends excluded


def settle(lake: Lake, keys: Collection[BarKey], txn: Txn | None = None) -> list[BarKey]:
    """Bring the bars of these minutes, and the trends that look back on them, to what trades and candles say.

    Both tables become a function of silver.trades and silver.candles; what they hold already is compared and not
    written again, so a run after a crash between the two writes ends with the same tables. New rows are appended; once
    a stored row has to change, all go by one MERGE, and the changed ones get `revised_at`.

    Args:
        lake: the lake.
        keys: the minutes, whether stored or not.
        txn: the mark of the step, written with the trends when there are any to write.

    Returns:
        the minutes whose bar is new or changed.
    """
    if not keys:
        return []
    changed = _settle_bars(lake, keys)
    fault_point("after_bars_commit")
    _settle_trends(lake, keys, txn)
    fault_point("after_trends_commit")
    return changed


def settle_windows(lake: Lake, windows: Collection[BarKey], txn: Txn | None = None) -> list[BarKey]:
    """Bring the five-minute bars of these windows to what silver.one_minute_bars says, as `settle` does its tables.

    Args:
        lake: the lake.
        windows: keys of five-minute bars, whether stored or not.
        txn: the mark of the five-minute bars, written with them when there are any to write.

    Returns:
        the windows whose bar is new or changed.
    """
    if not windows:
        return []
    where = spans({window.minute_us for window in windows}, lake.settings.lake.settle_ranges, FIVE_MINUTES_US)
    computed = five_minutes_of(lake, lake.rows_between(ONE_MINUTE_BARS, "minute", _times(where)))
    changed = _write(lake, FIVE_MINUTE_BARS, computed, frozenset(windows), where, VALUES, txn)
    fault_point("after_five_minute_bars_commit")
    return changed


def spans(starts_us: Collection[int], limit: int, length_us: int = MINUTE_US) -> Spans:
    """Cover minutes with few spans of time, so that files outside them are not read.

    Args:
        starts_us: starts of minutes, or of what else is of this length.
        limit: the most spans to return; the narrowest gaps are bridged first.
        length_us: the length of each in microseconds.

    Returns:
        (start, end) in microseconds, ends excluded, in order.
    """
    starts = sorted(starts_us)
    gaps = sorted(b - a for a, b in pairwise(starts))
    widest = max(length_us, gaps[-limit] if len(gaps) >= limit else 0)
    found: list[tuple[int, int]] = []
    for start in starts:
        if found and start + length_us - found[-1][1] <= widest:
            found[-1] = (found[-1][0], start + length_us)
        else:
            found.append((start, start + length_us))
    return found


def _settle_bars(lake: Lake, keys: Collection[BarKey]) -> list[BarKey]:
    where = spans({key.minute_us for key in keys}, lake.settings.lake.settle_ranges)
    candles = lake.rows_between(CANDLES, "minute", _times(where))
    computed = bars_of(lake, keys, in_spans("event_time", _times(where)), candles)
    return _write(lake, ONE_MINUTE_BARS, computed, frozenset(keys), where, VALUES, None)


def _settle_trends(lake: Lake, keys: Collection[BarKey], txn: Txn | None) -> None:
    limit = lake.settings.lake.settle_ranges
    minutes = {key.minute_us for key in keys}
    ahead = {minute + i * MINUTE_US for minute in minutes for i in range(MINUTES_BEFORE + 1)}
    behind = {minute - i * MINUTE_US for minute in minutes for i in range(1, MINUTES_BEFORE + 1)}
    where, seen = spans(ahead, limit), spans(ahead | behind, limit)
    bars = lake.rows_between(ONE_MINUTE_BARS, "minute", _times(seen))
    bars = bars.filter(pc.field("average_price").is_valid())  # there is no trend of candles
    if not bars.num_rows and not lake.rows_between(SIX_MINUTE_TRENDS, "minute", _times(where)).num_rows:
        return  # days of candles before the first trade
    _write(lake, SIX_MINUTE_TRENDS, trends_of(lake, bars), _LookingBack(frozenset(keys)), where, TREND_VALUES, txn)


class _LookingBack(Container[BarKey]):
    """The trends that look back on given minutes, asked one by one: of two days of candles there are 345,600."""

    def __init__(self, minutes: Collection[BarKey]) -> None:
        self._minutes_us: dict[tuple[str, str], set[int]] = {}
        for venue, symbol, minute_us in minutes:
            self._minutes_us.setdefault((venue, symbol), set()).add(minute_us)

    def __contains__(self, trend: object) -> bool:
        if not isinstance(trend, BarKey):
            return False
        minutes_us: Set[int] = self._minutes_us.get((trend.venue, trend.symbol), frozenset())
        return not minutes_us.isdisjoint(
            range(trend.minute_us - MINUTES_BEFORE * MINUTE_US, trend.minute_us + 1, MINUTE_US)
        )


def _write(
    lake: Lake,
    table: Table,
    computed: pa.Table,
    wanted: Container[BarKey],
    where: Spans,
    values: Sequence[str],
    txn: Txn | None,
) -> list[BarKey]:
    """Write of the wanted keys what the table does not say already; return those whose row is new or changed."""
    time = table.key[-1]
    stored = lake.rows_between(table, time, _times(where))
    now, was = _places(computed, time, wanted), _places(stored, time, wanted)
    both = [key for key in now if key in was]
    pairs = zip(both, _values_at(computed, now, both, values), _values_at(stored, was, both, values), strict=True)
    changed = {key for key, value, stored_value in pairs if value != stored_value}
    new, gone = now.keys() - was.keys(), was.keys() - now.keys()
    written = in_order(new | changed)
    if not (written or gone):
        return []
    rows = _rows(computed, now, written, changed)
    if changed or gone:
        lake.upsert(table, rows, txn, delete=keys_table(gone, time) if gone else None, within=_within(time, where))
    else:
        lake.append_rows(table, rows, txn)
    return written


def _places(rows: pa.Table, time: str, wanted: Container[BarKey]) -> dict[BarKey, int]:
    """Where the row of each wanted key is."""
    columns = (rows["venue"], rows["symbol"], rows[time].cast(pa.int64()))
    keys = map(BarKey._make, zip(*(column.to_pylist() for column in columns), strict=True))
    return {key: place for place, key in enumerate(keys) if key in wanted}


def _values_at(
    rows: pa.Table, places: Mapping[BarKey, int], keys: Sequence[BarKey], values: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    taken = rows.select(list(values)).take(pa.array([places[key] for key in keys], pa.int64()))
    return zip(*(taken[name].to_pylist() for name in values), strict=True)


def _rows(
    computed: pa.Table, places: Mapping[BarKey, int], written: Collection[BarKey], changed: Collection[BarKey]
) -> pa.Table:
    taken = computed.take(pa.array([places[key] for key in written], pa.int64()))
    now = datetime.now(UTC)
    return taken.append_column("revised_at", pa.array([now if key in changed else None for key in written], _UTC))


def _within(time: str, where: Spans) -> Condition:
    (start, _), (_, end) = _times((where[0], where[-1]))
    return [(time, ">=", start), (time, "<", end)]


def _times(where: Spans) -> Times:
    return [(_EPOCH + timedelta(microseconds=start), _EPOCH + timedelta(microseconds=end)) for start, end in where]
