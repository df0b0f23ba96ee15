"""Frames that are few enough to be in memory, parsed to the rows of each kind by the strict parser."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import IntegerType, StructField, StructType

from silver.copies import ARRIVAL
from silver.kinds import FROM_FRAME, ROW_KINDS, RowKind
from silver.parse import canonical_rows, parse_frame
from silver.rows import LostIds, Rejected
from silver.strict import FRAME_ID, frame_of
from silver.symbols import Symbols
from silver.tables import TRADES

Bad = tuple[tuple[Any, ...], int, tuple[str, ...]]  # which frame (FRAME_ID), which row of it, and what is wrong


@dataclass
class FewRows:
    """What frames hold.

    Args:
        kinds: rows by the name of their kind, with the columns of its table and ARRIVAL.
        rejected: rows that break rules.
        lost: ids that venues no longer have, with the venue.
    """

    kinds: Mapping[str, pa.Table]
    rejected: list[Bad] = field(default_factory=list)
    lost: list[tuple[str, LostIds]] = field(default_factory=list)


def few_rows(frames: pa.Table, symbols: Symbols) -> FewRows:
    """Parse frames to the very rows that `parse_strictly` makes of them.

    Args:
        frames: columns of bronze.frames.
        symbols: what names stand for.
    """
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    tables: dict[str, list[pa.Table]] = defaultdict(list)
    found = FewRows({})
    received = frames.schema.get_field_index("received_at")
    in_us = frames.set_column(received, "received_at", pc.cast(frames["received_at"], pa.int64()))
    for record in in_us.to_pylist():
        frame = frame_of(record, symbols)
        passed = {name: record[name] for name in FROM_FRAME}
        if (at_once := canonical_rows(frame)) is not None:
            kind, columns = at_once
            tables[kind].append(_table(_SCHEMAS[kind], passed, columns))
            continue
        for row in parse_frame(frame):
            if isinstance(row, Rejected):
                found.rejected.append((tuple(record[name] for name in FRAME_ID), row.row, row.reasons))
            elif isinstance(row, LostIds):
                found.lost.append((record["venue"], row))
            else:
                rows[row.kind].append(passed | vars(row))
    for kind, some in rows.items():
        tables[kind].append(pa.Table.from_pylist(some, _SCHEMAS[kind]))
    by_name = {kind.name: kind for kind in ROW_KINDS}
    found.kinds = {name: _filled(by_name[name], pa.concat_tables(some)) for name, some in tables.items()}
    return found


def rows_of_few(kind: RowKind, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Make rows of one kind a table with the columns of its contract and ARRIVAL.

    Args:
        kind: which.
        rows: what names their frame, their `row` and their fields; times in us UTC.
    """
    return _filled(kind, pa.Table.from_pylist(list(rows), _SCHEMAS[kind.name]))


def _schema(kind: RowKind) -> pa.Schema:
    passed = [TRADES.schema[name] for name in FROM_FRAME]
    return to_arrow_schema(
        StructType([*passed, StructField("row", IntegerType()), *(kind.table.schema[name] for name in kind.parsed)])
    )


_SCHEMAS = {kind.name: _schema(kind) for kind in ROW_KINDS}


def _table(schema: pa.Schema, passed: Mapping[str, Any], columns: Mapping[str, pa.Array]) -> pa.Table:
    """Say of rows of one kind, given as columns, which frame they come from."""
    count = len(next(iter(columns.values())))
    repeated = {name: pa.repeat(pa.scalar(passed[name], schema.field(name).type), count) for name in FROM_FRAME}
    given = {**repeated, "row": pa.array(range(count)), **columns}
    return pa.table([given[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


def _filled(kind: RowKind, rows: pa.Table) -> pa.Table:
    for name, value in kind.constants.items():
        of_type = to_arrow_schema(StructType([kind.table.schema[name]])).field(0).type
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, of_type), rows.num_rows))
    for name, source in kind.copied.items():
        rows = rows.append_column(name, rows[source])
    return rows.select(list(dict.fromkeys((*kind.table.columns, *ARRIVAL))))
