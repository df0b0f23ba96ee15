"""The rows of some files as one file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.arrow import padded
from lakehouse.maintenance.bounds import FileBounds
from lakehouse.settings.maintenance import MaintenanceSettings


class Rewriting:
    """Writes the rows of files into one new file, which nobody sees until it is committed.

    Args:
        sources: the files, in the order of their rows.
        target: the new file.
        schema: the columns of the table; one that an old file lacks is null.
        sort_by: the rows of each row group are put into the order of these columns, if there are any.
        bounded: columns whose bounds are kept.
        limits: rows and bytes in memory.
    """

    def __init__(
        self,
        sources: Sequence[Path],
        target: Path,
        schema: pa.Schema,
        sort_by: Sequence[str],
        bounded: Sequence[str],
        limits: MaintenanceSettings,
    ) -> None:
        self._sources = sources
        self._target = target
        self._schema = schema
        self._sort_by = [(name, "ascending") for name in sort_by]
        self._limits = limits
        self.bounds = FileBounds(bounded)

    def steps(self) -> Iterator[None]:
        """Write the file, and pause after every piece that was read or written; given up, leave nothing behind."""
        whole = False
        try:
            with pq.ParquetWriter(self._target, self._schema, compression="zstd") as writer:
                for chunk in self._chunks():
                    if chunk is not None:
                        rows = chunk.sort_by(self._sort_by) if self._sort_by else chunk
                        self.bounds.take(rows)
                        writer.write_table(rows, row_group_size=rows.num_rows)
                    yield
            with self._target.open("rb") as file:
                os.fsync(file.fileno())  # before long there will be no other file with these rows
            whole = True
        finally:
            if not whole:
                self._target.unlink(missing_ok=True)

    def _chunks(self) -> Iterator[pa.Table | None]:
        held: list[pa.Table] = []
        rows = size = 0
        for source in self._sources:
            with pq.ParquetFile(source, coerce_int96_timestamp_unit="us") as file:
                for batch in file.iter_batches(self._limits.chunk_rows, use_threads=False):
                    piece = self._conformed(pa.table(batch))
                    held.append(piece)
                    rows, size = rows + piece.num_rows, size + piece.nbytes
                    full = rows >= self._limits.chunk_rows or size >= self._limits.chunk_bytes
                    yield pa.concat_tables(held) if full else None
                    if full:
                        held, rows, size = [], 0, 0
        if held:
            yield pa.concat_tables(held)

    def _conformed(self, rows: pa.Table) -> pa.Table:
        if rows.schema.equals(self._schema):
            return rows.replace_schema_metadata(self._schema.metadata)
        columns = {name: rows[name] for name in rows.column_names}
        return pa.table(padded(columns, rows.num_rows, self._schema), schema=self._schema)
