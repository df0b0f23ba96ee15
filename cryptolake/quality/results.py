"""Keeps what the checks found, in silver.quality_results; `cryptolake quality` is its one writer."""

from __future__ import annotations

import pyarrow as pa
from deltalake import write_deltalake

from cryptolake.kept_table import keep_few_files, kept_table
from cryptolake.quality.check import QualityRun
from lakehouse.arrow import contract_schema
from lakehouse.settings import Settings
from silver.tables import QUALITY_RESULTS


def keep(run: QualityRun, settings: Settings) -> None:
    """Append a check in one commit; every so often the files of many are made one.

    Raises:
        LakeLockedError: another check has been writing for too long.
    """
    with kept_table(settings, QUALITY_RESULTS, settings.quality.lock_timeout_s) as table:
        write_deltalake(table, _rows(run, contract_schema(QUALITY_RESULTS)), mode="append")
        keep_few_files(table, settings.quality.files_kept)


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
