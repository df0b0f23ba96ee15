"""Keeps what the checks found, in silver.quality_results; `cryptolake quality` is its one writer."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from cryptolake.quality.check import QualityRun
from cryptolake.waiting import wait_until
from lakehouse.arrow import contract_schema
from lakehouse.errors import LakeLockedError
from lakehouse.home import lake_folder
from lakehouse.settings import Settings
from silver.tables import QUALITY_RESULTS


def keep(run: QualityRun, settings: Settings) -> None:
    """Append a check in one commit; every so often the files of many are made one.

    Raises:
        LakeLockedError: another check has been writing for too long.
    """
    folder = lake_folder(settings) / QUALITY_RESULTS.name.replace(".", "/")
    with _one_writer(folder, settings.quality.lock_timeout_s):
        schema = contract_schema(QUALITY_RESULTS)
        if not DeltaTable.is_deltatable(str(folder)):
            DeltaTable.create(
                str(folder),
                schema,
                mode="ignore",
                description=QUALITY_RESULTS.comment,
                configuration=dict(QUALITY_RESULTS.properties),
            )
        table = DeltaTable(str(folder))
        write_deltalake(table, _rows(run, schema), mode="append")
        if len(table.file_uris()) > settings.quality.files_kept:
            table.optimize.compact()
            table.vacuum(dry_run=False)


def _rows(run: QualityRun, schema: pa.Schema) -> pa.Table:
    rows = [
        {
            "run_id": run.run_id,
            "checked_at": run.checked_at,
            "table_name": check.table,
            "rule": check.rule,
            "expectation": check.expectation,
            "reason": check.reason,
            "severity": check.severity,
            "outcome": check.outcome,
            "rows_checked": check.rows,
            "rows_unexpected": check.unexpected,
            "examples": list(check.examples),
            "minutes": run.minutes,
            "rule_version": run.rule_version,
        }
        for check in run.checks
    ]
    return pa.Table.from_pylist(rows, schema=schema)


@contextmanager
def _one_writer(folder: Path, timeout_s: float) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        if not wait_until(lambda: _taken(lock.fileno()), timeout_s):
            raise LakeLockedError(
                f"Another check has been writing {folder} for more than {timeout_s:.0f} s", "Check again later."
            )
        yield  # closing the file lets go


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
