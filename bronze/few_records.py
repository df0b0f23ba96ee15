"""Kafka's records in memory as rows of bronze.frames: the very rows that `bronze.records` makes of them by Spark."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bronze.records import LATEST_US
from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema

_HEADERS = ("venue", "channel", "session_id", "sequence", "received_at_us", "origin")
_PLAIN = "^-?[0-9]{1,18}$"
_BIGINT = range(-(2**63), 2**63)
# What Spark takes off a number's text before it reads it: ISO controls and white space.
_AROUND_NUMBERS = "".join(map(chr, (*range(0x21), *range(0x7F, 0xA0))))


def frames_of_few(records: pa.Table, topic_ids: Mapping[str, str], ingested_at: dt.datetime) -> pa.Table:
    """Turn Kafka records into rows of bronze.frames; a header or key that is missing or garbled becomes null.

    Args:
        records: columns of Spark's Kafka source, headers included.
        topic_ids: Kafka's id of each topic by name; a topic that is not named gets a null topic_id.
        ingested_at: the time of landing.
    """
    header = _first_headers(records["headers"].combine_chunks())
    received_us = _bigints(header["received_at_us"])
    in_range = pc.and_(pc.greater_equal(received_us, 0), pc.less_equal(received_us, LATEST_US))
    columns = {
        "topic_id": _mapped(records["topic"], topic_ids.get, pa.string()),
        "topic": records["topic"],
        "partition": records["partition"],
        "offset": records["offset"],
        "venue": header["venue"],
        "channel": header["channel"],
        "key": _texts(records["key"]),
        "session_id": header["session_id"],
        "sequence": _bigints(header["sequence"]),
        "received_at": pc.if_else(in_range, received_us, None).cast(pa.timestamp("us", tz="UTC")),
        "origin": header["origin"],
        "payload": pc.fill_null(records["value"], b""),
        "kafka_time": records["timestamp"],
        "ingested_at": pa.repeat(pa.scalar(ingested_at, pa.timestamp("us", tz="UTC")), records.num_rows),
    }
    schema = contract_schema(FRAMES)
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def few_frames_above(frames: pa.Table, landed: Mapping[tuple[str, int], int]) -> pa.Table:
    """Keep the rows whose offset is above the highest landed one of their topic id and partition."""
    where = pc.binary_join_element_wise(frames["topic_id"], frames["partition"].cast(pa.string()), "/")
    highest = {f"{topic_id}/{partition}": top for (topic_id, partition), top in landed.items()}
    tops = pc.fill_null(_mapped(where, highest.get, pa.int64()), -1)
    return frames.filter(pc.greater(frames["offset"], tops))


def _first_headers(headers: pa.ListArray) -> dict[str, pa.Array]:
    """The text of each of our headers, row by row; of several with one name the first."""
    row, held = pc.list_parent_indices(headers).to_numpy(), headers.flatten()
    names, values = pc.struct_field(held, "key"), pc.struct_field(held, "value")
    found = {}
    for name in _HEADERS:
        at = np.flatnonzero(pc.fill_null(pc.equal(names, name), False).to_numpy(zero_copy_only=False))
        first = np.full(len(headers), -1)
        first[row[at[::-1]]] = at[::-1]
        found[name] = _texts(values.take(pa.array(first, mask=first < 0)))
    return found


def _texts(held: pa.Array) -> pa.Array:
    """Bytes as text; null where they are none."""
    try:
        return held.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if value is None else _text(value) for value in held.to_pylist()], pa.string())


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _bigints(texts: pa.Array) -> pa.Array:
    """The whole numbers that texts say, null for what says none: as Spark's `try_cast(... AS BIGINT)`."""
    plain = pc.fill_null(pc.match_substring_regex(texts, _PLAIN), True)
    numbers = pc.if_else(plain, texts, None).cast(pa.int64())
    if pc.all(plain, min_count=0).as_py():
        return numbers
    return pc.if_else(plain, numbers, _mapped(pc.if_else(plain, None, texts), _bigint, pa.int64()))


def _bigint(text: str) -> int | None:
    said = re.fullmatch("[+-]?[0-9]+", text.strip(_AROUND_NUMBERS))
    return int(said[0]) if said and int(said[0]) in _BIGINT else None


def _mapped(values: pa.Array, stands_for: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """What each text stands for, asked once for each that differs; null stays null."""
    different = pc.unique(values)
    found = [None if value is None else stands_for(value) for value in different.to_pylist()]
    return pa.array(found, kind).take(pc.index_in(values, different))
