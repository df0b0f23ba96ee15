"""What a step is: tables it reads, tables it writes, and one method that does it."""

from __future__ import annotations

from typing import Protocol

from pyspark.sql import DataFrame

from lakehouse.table import Table


class Step(Protocol):
    """One stage of the flow; it reads tables, calls pure transforms, and writes through the table contracts."""

    name: str
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]

    def run(self, batch: DataFrame, version: int) -> None:
        """Carry one batch of rows of the table above, written there in `version`, into this step's tables."""
        ...

    def drain(self) -> int:
        """Carry what the table above holds beyond this step's mark; return how many versions were consumed."""
        ...
