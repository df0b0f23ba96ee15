"""The quarantine as its readers see it, without a JVM: delta-rs reads the table, DuckDB answers, values are bound."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.errors import CryptolakeError
from lakehouse.home import lake_folder
from lakehouse.printable import printable
from lakehouse.settings import Settings
from silver.replay import STILL_BAD
from silver.selection import Selection
from silver.tables import QUARANTINE

GroupBy = Literal["reason", "venue", "channel", "hour", "day", "rule_version", "outcome"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC = "make_timestamp(epoch_us({}))"
_GROUPS: dict[str, str] = {
    "reason": "unnest(reasons)",
    "venue": "venue",
    "channel": "channel",
    "hour": f"date_trunc('hour', {_UTC.format('first_seen')})",
    "day": f"date_trunc('day', {_UTC.format('first_seen')})",
    "rule_version": "rule_version",
    "outcome": "outcome",
}
_ROWS = (
    f'{_UTC.format("first_seen")} AS first_seen_utc, topic, partition, "offset", row, venue, channel, '
    "array_to_string(reasons, ' ') AS reasons, rule_version, outcome"
)
_IS_STILL_BAD = "(outcome IS NULL OR list_contains(?, outcome))"
# The whole reason, or what stands before its colon.
_HAS_REASON = (
    "(list_contains(reasons, ?) OR contains(chr(31) || array_to_string(reasons, chr(31)), chr(31) || ? || ':'))"
)
_HEADERS = ("venue", "channel", "key", "session_id", "sequence", "received_at", "origin")
_BYTES_A_LINE = 16


def quarantined(settings: Settings, selection: Selection, *, everything: bool, limit: int) -> pa.Table:
    """List rows, newest first.

    Args:
        settings: the home.
        selection: which rows.
        everything: rows that a replay has dealt with, too.
        limit: at most so many.
    """
    where, values = _where(selection, everything)
    order = 'ORDER BY first_seen DESC, topic, partition, "offset", row LIMIT ?'
    return _answer(settings, f"SELECT {_ROWS} FROM quarantine WHERE {where} {order}", [*values, limit])  # noqa: S608


def counted(settings: Settings, selection: Selection, by: GroupBy, *, everything: bool) -> pa.Table:
    """Count rows by one of their properties; a row of two reasons counts for both.

    Args:
        settings: the home.
        selection: which rows.
        by: what to group by.
        everything: rows that a replay has dealt with, too.
    """
    where, values = _where(selection, everything)
    named = f'SELECT {_GROUPS[by]} AS "{by}", first_seen, outcome FROM quarantine WHERE {where}'  # noqa: S608
    first, last = (_UTC.format(f"{which}(first_seen)") for which in ("min", "max"))
    sql = (
        f'SELECT "{by}", count(*) AS rows, count(outcome) AS tried, {first} AS first_utc, {last} AS last_utc'  # noqa: S608
        f" FROM ({named}) GROUP BY 1 ORDER BY rows DESC, 1"
    )
    return _answer(settings, sql, values)


def described(settings: Settings, topic: str, partition: int, offset: int, row: int | None, size: int) -> Iterator[str]:
    """Describe the quarantined rows of one frame in lines that are safe to print.

    Args:
        settings: the home.
        topic: of the frame.
        partition: of the frame.
        offset: of the frame.
        row: the one row; None for all of the frame.
        size: bytes of the payload to show.

    Raises:
        CryptolakeError: there is no such row.
    """
    where, values = 'topic = ? AND partition = ? AND "offset" = ?', [topic, partition, offset]
    if row is not None:
        where, values = f"{where} AND row = ?", [*values, row]
    times = ", ".join(f"{_UTC.format(name)} AS {name}" for name in ("received_at", "first_seen", "replayed_at"))
    sql = f"SELECT * REPLACE ({times}) FROM quarantine WHERE {where} ORDER BY topic_id, row"  # noqa: S608
    found = _query(settings, sql, values).to_pylist()
    if not found:
        place = f"topic {printable(topic)}, partition {partition}, offset {offset}"
        raise CryptolakeError(f"Nothing is quarantined from {place}", "See `cryptolake quarantine list`.")
    for number, held in enumerate(found):
        if number:
            yield ""
        yield from _description(held, size)


def payload_lines(payload: bytes, size: int) -> Iterator[str]:
    """Show bytes as escaped text when they are UTF-8, else as a hex dump; at most `size` of them."""
    shown = payload[:size]
    try:
        yield printable(payload.decode("utf-8")[:size])
    except UnicodeDecodeError:
        for start in range(0, len(shown), _BYTES_A_LINE):
            line = shown[start : start + _BYTES_A_LINE]
            letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
            yield f"{start:08x}  {line.hex(' '):<{3 * _BYTES_A_LINE}} {letters}"
    if len(payload) > size:
        yield f"... {len(payload) - size:,} bytes more (--bytes {len(payload)})"


def _description(row: dict[str, Any], size: int) -> Iterator[str]:
    payload = bytes(row["payload"] or b"")
    whole = "the whole frame" if row["row"] == -1 else f"row {row['row']}"
    stream = f"topic {row['topic']} ({row['topic_id']}), partition {row['partition']}"
    values = {
        "from": f"{stream}, offset {row['offset']}, {whole}",
        **{name: row.get(name) for name in _HEADERS},
        "reasons": " ".join(row["reasons"] or ()),
        "rule version": row["rule_version"],
        "first seen": row["first_seen"],
        "outcome": row["outcome"] or "not replayed yet",
    }
    if row["outcome"]:
        values["replayed at"] = f"{row['replayed_at']} (rule version {row.get('replay_rule_version')})"
    values["payload"] = f"{len(payload):,} bytes, sha256 {hashlib.sha256(payload).hexdigest()}"
    for name, value in values.items():
        yield f"{name:<12}  {'-' if value is None else printable(str(value))}"
    yield from (f"  {line}" for line in payload_lines(payload, size))


def _where(selection: Selection, everything: bool) -> tuple[str, list[Any]]:
    conditions = ["true"]
    values: list[Any] = []
    if not everything:
        conditions.append(_IS_STILL_BAD)
        values.append(list(STILL_BAD))
    for condition, value in (
        (_HAS_REASON, selection.reason),
        ("venue = ?", selection.venue),
        ("first_seen >= ?", _time_of(selection.since_us)),
        ("first_seen < ?", _time_of(selection.until_us)),
        ("rule_version = ?", selection.rule_version),
    ):
        if value is not None:
            conditions.append(condition)
            values += [value] * condition.count("?")
    return " AND ".join(conditions), values


def _time_of(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(microseconds=us)


def _answer(settings: Settings, sql: str, values: list[Any]) -> pa.Table:
    answer = _query(settings, sql, values)
    for place, column in enumerate(answer.schema):
        if pa.types.is_string(column.type):
            safe = [None if text is None else printable(text) for text in answer.column(place).to_pylist()]
            answer = answer.set_column(place, column.name, pa.array(safe, pa.string()))
    return answer


def _query(settings: Settings, sql: str, values: list[Any]) -> pa.Table:
    folder = lake_folder(settings) / QUARANTINE.name.replace(".", "/")
    if not (folder / "_delta_log").is_dir():
        raise CryptolakeError(f"There is no lake in {settings.home} yet", "Run `cryptolake demo` first.")
    with duckdb.connect() as connection:
        connection.register("quarantine", DeltaTable(str(folder)).to_pyarrow_dataset())
        connection.execute("SET enable_external_access = false")
        return connection.sql(sql, params=values).to_arrow_table()
