"""The contract of a table: its columns, key, layout, and the one process that writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType, StructField, StructType

from lakehouse.errors import SchemaMismatchError


def column(name: str, data_type: DataType, comment: str, *, nullable: bool = True) -> StructField:
    """Declare one column with the comment that every reader of the table sees."""
    return StructField(name, data_type, nullable, {"comment": comment})


@dataclass(frozen=True)
class Table:
    """What a table promises.

    Args:
        name: schema and table, e.g. "silver.trades".
        comment: one sentence for readers.
        schema: the columns, in order.
        key: the columns that name a row once.
        writer: the step that writes it.
        cluster_by: columns for liquid clustering by OPTIMIZE.
        append_only: rows are never changed; streams may read it.
        constraints: CHECK constraints, name to SQL.
        properties: Delta table properties.
        by_owner: the owner of the lake writes it; else one command does, by delta-rs, and the owner lets it be.
    """

    name: str
    comment: str
    schema: StructType
    key: tuple[str, ...]
    writer: str
    cluster_by: tuple[str, ...] = ()
    append_only: bool = False
    constraints: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    by_owner: bool = True

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return self.schema.fieldNames()

    def differences(self, frame: DataFrame) -> list[str]:
        """List every way in which a frame's columns differ from the contract's (order and nullability apart)."""
        found = {f.name: f.dataType for f in frame.schema.fields}
        wanted = {f.name: f.dataType for f in self.schema.fields}
        missing = [f"{name} is missing" for name in wanted if name not in found]
        extra = [f"{name} is not in the table" for name in found if name not in wanted]
        changed = [
            f"{name} is {found[name].simpleString()}, not {wanted[name].simpleString()}"
            for name in wanted
            if name in found and found[name] != wanted[name]
        ]
        return missing + extra + changed

    def conform(self, frame: DataFrame) -> DataFrame:
        """Return the frame with the contract's columns in their order.

        Raises:
            SchemaMismatchError: with every difference listed.
        """
        differences = self.differences(frame)
        if differences:
            raise SchemaMismatchError(f"A frame for {self.name} differs: {'; '.join(differences)}")
        return frame.select(*self.columns)
