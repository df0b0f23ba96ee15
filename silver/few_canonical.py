"""Frames in memory that leave the strict parser nothing to say: read many at once, to the very rows it would make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrow import contract_schema, padded
from silver import quality
from silver.kinds import FROM_FRAME
from silver.parse import CONTROL
from silver.symbols import Pair, Symbols
from silver.tables import TRADES
from silver.venues.registry import VENUES
from silver.venues.venue import CanonicalStream

Places: TypeAlias = "npt.NDArray[np.int64]"

_CHANNEL = "trade"
_HEADERS = ("session_id", "sequence", "received_at", "origin")
# A product of doubles is off by less; what lies so near the limit is left to the strict parser.
_AMOUNT = float(quality.MAX_AMOUNT) * (1 - 1e-9)


@dataclass(frozen=True)
class ReadAtOnce:
    """What became of frames that were read many at once; those of our own control channel go no further.

    Args:
        trades: of the canonical ones, with the columns of silver.trades.
        left: the frames that only the strict parser can read.
    """

    trades: pa.Table
    left: pa.Table


def canonical_trades_of_few(frames: pa.Table, symbols: Symbols) -> ReadAtOnce:
    """Read the trades of canonical frames, thirty times as fast as the strict parser does.

    Args:
        frames: columns of bronze.frames.
        symbols: what names stand for.
    """
    trades = [contract_schema(TRADES).empty_table()]
    left = np.ones(frames.num_rows, dtype=bool)
    for venue in VENUES:
        if venue.canonical_stream is not None:
            headers = pa.array(filter(venue.covers, pc.unique(frames["venue"]).drop_null().to_pylist()), pa.string())
            of_venue = pc.and_(pc.is_in(frames["venue"], headers), pc.equal(frames["channel"], _CHANNEL))
            places = np.flatnonzero(pc.fill_null(of_venue, False).to_numpy())
            read, some = _read(frames, places, venue.canonical_stream, symbols)
            left[read] = False
            trades.append(some)
    left &= ~pc.fill_null(pc.equal(frames["channel"], CONTROL), False).to_numpy()
    return ReadAtOnce(pa.concat_tables(trades), frames.filter(pa.array(left)))


def _read(frames: pa.Table, places: Places, stream: CanonicalStream, symbols: Symbols) -> tuple[Places, pa.Table]:
    """Read the frames at some places; give the places of those that are canonical and good, and their trades."""
    # Bytes that are no text match nothing.
    text = pc.cast(frames["payload"].take(places), options=pc.CastOptions(pa.string(), allow_invalid_utf8=True))
    found = stream.read(pa.table({"place": places, "payload": text}))
    named = _named(found["venue_symbol"], partial(stream.pair_of, symbols))
    own = frames.select(list(FROM_FRAME)).take(found["place"])
    good = _is_good(found, own, named)
    found, own, named = found.filter(good), own.filter(good), named.filter(good)
    return found["place"].to_numpy(), _trades(found, own, named)


def _named(names: pa.ChunkedArray, pair_of: Callable[[str], Pair | None]) -> pa.Table:
    """What each name stands for; null where it stands for nothing."""
    different = pc.unique(names)
    pairs = [pair_of(name) for name in different.to_pylist()]
    stand_for = pa.table(
        {
            "symbol": pa.array([pair and pair.symbol for pair in pairs], pa.string()),
            "base": pa.array([pair and pair.base for pair in pairs], pa.string()),
            "quote": pa.array([pair and pair.quote for pair in pairs], pa.string()),
        }
    )
    return stand_for.take(pc.index_in(names, different))


def _is_good(found: pa.Table, own: pa.Table, named: pa.Table) -> pa.ChunkedArray:
    """Whether no rule of silver.trades is left to be judged: headers, name, bounds of figures and of times."""
    received_us = own["received_at"].cast(pa.int64())
    amount = pc.multiply(found["price"].cast(pa.float64()), found["quantity"].cast(pa.float64()))
    conditions = [
        *(own[name].is_valid() for name in _HEADERS),
        named["symbol"].is_valid(),
        pc.greater(found["price"], 0),
        pc.greater(found["quantity"], 0),
        pc.less(amount, _AMOUNT),
        pc.greater_equal(found["event_us"], quality.EARLIEST_US),
        pc.less_equal(pc.subtract(found["event_us"], received_us), quality.FUTURE_US),
    ]
    good = conditions[0]
    for condition in conditions[1:]:
        good = pc.and_(good, condition)
    return pc.fill_null(good, False)


def _trades(found: pa.Table, own: pa.Table, named: pa.Table) -> pa.Table:
    columns = {name: own[name] for name in FROM_FRAME} | {name: named[name] for name in named.schema.names}
    columns |= {
        "trade_key": found["trade_key"],
        "trade_id": found["trade_key"].cast(pa.int64()),
        "venue_symbol": found["venue_symbol"],
        "price": found["price"],
        "quantity": found["quantity"],
        "side": pc.if_else(found["buyer_is_maker"], "sell", "buy"),
        "event_time": found["event_us"].cast(pa.timestamp("us", tz="UTC")),
        "row": pa.array(np.zeros(found.num_rows, dtype=np.int32)),
    }
    schema = contract_schema(TRADES)
    return pa.table(padded(columns, found.num_rows, schema), schema=schema)
