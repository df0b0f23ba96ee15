"""Those who read the lake: its doors, and the audit."""

from __future__ import annotations

from lakehouse.settings.section import Section


class ServingSettings(Section):
    """The doors to the lake."""

    thrift_port: int
    thrift_memory: str


class AuditSettings(Section):
    """The audit.

    Args:
        rows_per_part: rows of one table held in memory at once; the rest waits on disk.
        batch_bytes: how much of a file is read at once.
        examples: failures shown per check.
        gap_slack_s: how far a missing trade's time may lie outside a recorded disconnect, as clocks differ.
        ledger_live_s: while a collector runs, the last seconds of its venue are still on their way.
        gap_horizon_s: how long the back-fill may take with a gap before its age is told beside it.
        batches: batches that do not add up, told of one audit.
        most_parts: most parts that an audit of the newest puts rows aside in.
        again_s: time between two looks of `--watch` at what has failed, for which the round reaches back to it.
        alert_lock_timeout_s: how long to wait while another audit writes its alerts.
        alert_files_kept: commits of alerts before their files are made one.
    """

    rows_per_part: int
    batch_bytes: int
    examples: int
    gap_slack_s: float
    ledger_live_s: float
    gap_horizon_s: float
    batches: int
    most_parts: int
    again_s: float
    alert_lock_timeout_s: float
    alert_files_kept: int


class QualitySettings(Section):
    """The check of the quality rules on silver's tables.

    Args:
        minutes: how far back from its newest row a table is looked at.
        max_rows: rows of one table looked at, the newest.
        rows_at_once: of which so many are made objects of Python at a time; what a check takes in memory.
        examples: rows shown of each rule that is broken.
        files_kept: commits of results before their files are made one.
        lock_timeout_s: how long to wait while another check writes its results.
    """

    minutes: int
    max_rows: int
    rows_at_once: int
    examples: int
    files_kept: int
    lock_timeout_s: float
