"""The upkeep of tables in folders."""

from __future__ import annotations

from pydantic import Field

from lakehouse.settings.section import Section


class MaintenanceSettings(Section):
    """How the owner of the lake keeps its tables in folders small in files, beside the stream.

    Args:
        enabled: tend the tables while `run` is at work; `cryptolake maintain` does it in any case.
        budget_ms: how long the owner works at it between two looks at everything else (every 500 ms).
        every_commits: a table is tended once it has so many new commits ...
        every_s: ... or, if it has any, after this time.
        fewest_files: so many small files are made one.
        most_files: so many at most.
        target_bytes: what a file grows to; one of more than half of it is left alone.
        merged_bytes: the same where corrections are merged: for one row Spark writes the whole file anew.
        hot_s: younger files of such a table are left alone: most corrections are of new rows.
        chunk_rows: rows that are in memory, and in a row group of a file, at most ...
        chunk_bytes: ... and about how many bytes of them.
        keep_log_s: commits younger than this stay in the log, and older ones that a step has still to read.
        keep_files_s: a file stays this long after the last version that needs it: for whoever reads an old version.
        deleted_at_once: so many files are deleted while a batch waits.
        reload_commits: after so many commits a table that is in memory is loaded anew.
    """

    enabled: bool
    budget_ms: int = Field(gt=0)
    every_commits: int = Field(gt=0)
    every_s: float = Field(ge=0)
    fewest_files: int = Field(ge=2)
    most_files: int = Field(ge=2)
    target_bytes: int = Field(gt=0)
    merged_bytes: int = Field(gt=0)
    hot_s: float = Field(ge=0)
    chunk_rows: int = Field(gt=0)
    chunk_bytes: int = Field(gt=0)
    keep_log_s: float = Field(ge=0)
    keep_files_s: float = Field(ge=0)
    deleted_at_once: int = Field(gt=0)
    reload_commits: int = Field(gt=0)
