"""What refine needs to know of a venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from silver.rows import Frame, ParsedRow
from silver.symbols import Pair, Symbols

Parser = Callable[[Frame, Any], list[ParsedRow]]


@dataclass(frozen=True)
class CanonicalTrade:
    """The one form of a trade frame that needs no strict parser, because its text leaves nothing open.

    Args:
        pattern: Java regex of the whole payload; it begins with `{` and rejects whatever the strict parser would.
        parts: its replacement, nine parts joined by commas: venue, venue symbol, base, quote, trade id (empty where the
            venue has none), price, quantity, time in ms or us, side (buy or sell, or true or false for "the buyer is
            the maker"). It must not begin with `{`.
        assets: ticker by the venue's name of an asset; None where base and quote are tickers already.
    """

    pattern: str
    parts: str
    assets: Mapping[str, str] | None = None


@dataclass(frozen=True)
class CanonicalStream:
    """The one form of frames of channel `trade` that are read many at once in memory, a trade each.

    Args:
        read: from `place`, a number, and `payload`, as text that may be invalid, to what is canonical of it: place,
            venue_symbol, trade_key (the trade's id as text), price, quantity, event_us (UTC) and buyer_is_maker, as the
            strict parser would give them. What a header, a name or a limit has to say of it is not asked.
        pair_of: what a venue_symbol stands for.
    """

    read: Callable[[pa.Table], pa.Table]
    pair_of: Callable[[Symbols, str], Pair | None]


@dataclass(frozen=True)
class CanonicalRows:
    """The one form of frames of many rows that are read at once, because their text leaves nothing open.

    Args:
        kind: of its rows, as in silver.rows.
        read: from a frame with all headers, of a size that is allowed, to the fields of that kind by column (`row`, the
            place in the column, left out), just as the strict parser would give them, times in us; None when it is not
            canonical, or not all of its rows are good.
    """

    kind: str
    read: Callable[[Frame], Mapping[str, pa.Array] | None]


@dataclass(frozen=True)
class Venue:
    """How one source of frames is read.

    Args:
        source: the name `collect` and `replay` take.
        covers: says whether a venue header belongs to it.
        parsers: by channel, from a frame and its JSON value to rows.
        texts: channels that are no JSON; their parsers are given the bytes.
        canonical_trade: builds the fast path of its channel `trade` in Spark, if it has one.
        canonical_stream: the fast path of its channel `trade` in memory, if it has one.
        canonical_rows: by channel, the fast path of frames of many rows.
        ids_rise_by_one: whether an id that is missing between two others is a trade that was not heard.
        pair_of: reads the name that a market (a venue header) has of a symbol, in our own markers of time, if they name
            any.
    """

    source: str
    covers: Callable[[str], bool]
    parsers: Mapping[str, Parser]
    texts: frozenset[str] = frozenset()
    canonical_trade: Callable[[], CanonicalTrade] | None = None
    canonical_stream: CanonicalStream | None = None
    canonical_rows: Mapping[str, CanonicalRows] = field(default_factory=dict)
    ids_rise_by_one: bool = False
    pair_of: Callable[[Symbols, str, str], Pair | None] | None = None


def canonical_digits(whole: int, fraction: int) -> str:
    """The regex of a plain decimal with at most so many digits before and behind the point."""
    return rf"(?:0|[1-9][0-9]{{0,{whole - 1}}})(?:\.[0-9]{{1,{fraction}}})?"
