"""Rows put aside on disk in parts that each fit into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Spill:
    """Rows of one schema, in parts.

    Args:
        folder: where the files go.
        name: names the files.
        schema: of every batch.
        parts: how many.
    """

    def __init__(self, folder: Path, name: str, schema: Any, parts: int) -> None:
        self.schema = schema
        self.parts = parts
        self.rows = 0
        self._paths = [folder / f"{name}.{part}.arrow" for part in range(parts)]
        self._writers: dict[int, Any] = {}

    def write(self, batch: Any, place: Ints) -> None:
        """Add rows.

        Args:
            batch: a RecordBatch of the schema.
            place: a whole number per row; equal numbers go to the same part.
        """
        self.rows += batch.num_rows
        if self.parts == 1:
            self._write(0, batch)
            return
        part = place % self.parts
        order = np.argsort(part, kind="stable")
        ordered = batch.take(pa.array(order))
        bounds = np.searchsorted(part[order], np.arange(self.parts + 1))
        for number in range(self.parts):
            start, end = int(bounds[number]), int(bounds[number + 1])
            if end > start:
                self._write(number, ordered.slice(start, end - start))

    def read(self, part: int) -> Any:
        """Give one part as a Table and remove its file."""
        writer = self._writers.pop(part, None)
        if writer is None:
            return self.schema.empty_table()
        writer.close()
        with pa.OSFile(str(self._paths[part])) as file:
            table = pa.ipc.open_file(file).read_all()
        self._paths[part].unlink()
        return table.combine_chunks()

    def close(self) -> None:
        """Close what has not been read."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, part: int, batch: Any) -> None:
        if part not in self._writers:
            self._writers[part] = pa.ipc.new_file(str(self._paths[part]), self.schema, options=_OPTIONS)
        self._writers[part].write_batch(batch)
