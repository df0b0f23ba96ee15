"""Frames that are few enough to be in memory, parsed to the rows of each kind by the strict parser."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import to_arrow_schema

from lakehouse.arrow import contract_schema
from silver.copies import ARRIVAL
from silver.kinds import FROM_FRAME, RowKind
from silver.rows import Rejected
from silver.strict import FRAME_ID, KIND, PARSER_TAKES, SCHEMA, parse_batches
from silver.symbols import Symbols

Bad = tuple[tuple[object, ...], int, tuple[str, ...]]  # which frame (FRAME_ID), which row of it, and what is wrong
PARSED = to_arrow_schema(SCHEMA)


def few_parsed(frames: pa.Table, symbols: Symbols) -> pa.Table:
    """Parse frames to the very rows that `parse_strictly` makes of them.

    Args:
        frames: columns of bronze.frames.
        symbols: what names stand for.
    """
    taken = frames.select([*FRAME_ID, *PARSER_TAKES])
    return pa.Table.from_batches(parse_batches(symbols, taken.to_batches()), PARSED)


def few_of_kind(parsed: pa.Table, kind: RowKind) -> pa.Table:
    """Take the rows of one kind, with the columns of its table and those that say in which order they came.

    Args:
        parsed: rows as `few_parsed` gives them.
        kind: which.
    """
    rows = parsed.filter(pc.equal(parsed[KIND], kind.name))
    types = contract_schema(kind.table)
    columns = {name: rows[name] for name in (*FROM_FRAME, "row")}
    columns |= {name: pc.struct_field(rows[kind.name], name) for name in kind.parsed}
    for name, value in kind.constants.items():
        columns[name] = pa.repeat(pa.scalar(value, types.field(name).type), rows.num_rows)
    columns |= {name: columns[source] for name, source in kind.copied.items()}
    return pa.table({name: columns[name] for name in dict.fromkeys((*kind.table.columns, *ARRIVAL))})


def few_rejected(parsed: pa.Table) -> list[Bad]:
    """Take the rows that broke rules: which, and why."""
    rows = parsed.filter(pc.equal(parsed[KIND], Rejected.kind))
    told = zip(places(rows), rows["row"].to_pylist(), rows["reasons"].to_pylist(), strict=True)
    return [(place, row, tuple(reasons)) for place, row, reasons in told]


def places(rows: pa.Table) -> list[tuple[object, ...]]:
    """Which frame each row comes from."""
    return list(zip(*(rows[name].to_pylist() for name in FRAME_ID), strict=True))
