"""What lies directly before the frames and trades that came since a moment, looked for from the newest file on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.pinned_table import PinnedTable
from cryptolake.audit.places import Places, offset_of, stream_of
from cryptolake.audit.reach import Since
from cryptolake.audit.spans import time_of
from lakehouse.conditions import AnyOf

_FRAME = {"topic": pa.string(), "topic_id": pa.string(), "partition": pa.int32(), "offset": pa.int64()}
_TRADE = {"symbol": pa.string(), "trade_id": pa.int64()}


@dataclass
class OffsetsBefore:
    """Frames before the ones that came.

    Args:
        greatest: the greatest offset before the first that came, by number of topic id and partition.
        topics: name and id of the topics of those that were looked at.
        cut: the search ended at its limit, so what is not in `greatest` may be there all the same.
    """

    greatest: dict[int, int] = field(default_factory=dict)
    topics: set[tuple[str, str]] = field(default_factory=set)
    cut: bool = False


def offsets_before(
    table: PinnedTable,
    since: Since,
    places: Places,
    first: Mapping[int, int],
    begun: set[str],
    limits: tuple[int, int],
) -> OffsetsBefore:
    """Look for the frame before the first that came of each topic id and partition.

    Args:
        table: bronze.frames.
        since: from when on frames count as come.
        places: numbers of places.
        first: the least offset that came, by number of topic id and partition; those above 0 have one before.
        begun: topics of which a partition begins with what came: older ids of them are looked for.
        limits: most rows looked at, and bytes read at once.
    """
    most_rows, batch_bytes = limits
    found, rows = OffsetsBefore(), 0
    wanted, topics = {stream for stream, offset in first.items() if offset}, set(begun)
    if not wanted and not topics:
        return found
    for held, batches in table.newest_first(_FRAME, batch_bytes, "ingested_at", since.frames_before()):
        rows += held
        for batch in batches:
            frames = places.frames(batch)
            streams, offsets = stream_of(frames), offset_of(frames)
            for stream in wanted.intersection(np.unique(streams).tolist()):
                below = offsets[(streams == stream) & (offsets < first[stream])]
                found.greatest[stream] = max(int(below.max(initial=-1)), found.greatest.get(stream, -1))
            names = pa.table({name: batch.column(name) for name in ("topic", "topic_id")})
            pairs = names.group_by(["topic", "topic_id"]).aggregate([]).to_pylist()
            found.topics |= {(str(pair["topic"]), str(pair["topic_id"])) for pair in pairs}
        topics -= {topic for topic, _ in found.topics}
        if all(found.greatest.get(stream, -1) >= 0 for stream in wanted) and not topics:
            return found
        if rows >= most_rows:
            found.cut = True
            return found
    return found


def ids_before(
    table: PinnedTable, venue: str, lowest: Mapping[str, int], until_us: int, limits: tuple[int, int]
) -> tuple[dict[str, int], bool]:
    """Look for the greatest trade id below a given one of each symbol.

    Args:
        table: silver.trades.
        venue: the market.
        lowest: the id, by symbol.
        until_us: no later trades are looked at (UTC, us).
        limits: most rows looked at, and bytes read at once.

    Returns:
        ids by symbol, and whether the search ended at its limit.
    """
    most_rows, batch_bytes = limits
    found: dict[str, int] = {}
    rows = 0
    before: AnyOf = [
        [("venue", "=", venue), ("symbol", "in", sorted(lowest)), ("event_time", "<", time_of(until_us))],
    ]
    for held, batches in table.newest_first(_TRADE, batch_bytes, "event_time", before):
        rows += held
        for batch in batches:
            symbols = batch.column("symbol").dictionary_encode()
            names = symbols.dictionary.to_pylist()
            limit = np.asarray([lowest[name] for name in names], dtype=np.int64)[symbols.indices.to_numpy()]
            below = batch.filter(pc.less(batch.column("trade_id"), pa.array(limit)))
            greatest = pa.Table.from_batches([below]).group_by("symbol").aggregate([("trade_id", "max")]).to_pylist()
            for row in greatest:
                found[row["symbol"]] = max(row["trade_id_max"], found.get(row["symbol"], row["trade_id_max"]))
        if lowest.keys() <= found.keys():
            return found, False
        if rows >= most_rows:
            return found, True
    return found, False
