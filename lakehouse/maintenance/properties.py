"""What the log of a table in a folder says of its own upkeep."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.settings.maintenance import MaintenanceSettings

_BY_WRITERS = 10  # so many times the commits after which the upkeep makes a checkpoint


def kept_properties(limits: MaintenanceSettings) -> Mapping[str, str]:
    """Properties by which checkpoints forget removed files in time, and the upkeep alone makes them and cuts the log.

    Delta's own clean-up knows nothing of marks; and with its seven days of removed files, of which there is one for
    every small commit, a checkpoint would name hundreds of thousands. Who writes the commit at which a checkpoint is
    due waits for it, Spark for a second or two: it is due only where the upkeep has not made one for long (ADR 13).
    """
    kept = f"interval {max(1, round(limits.keep_files_s))} seconds"
    due = limits.every_commits * (_BY_WRITERS if limits.enabled else 1)
    return {
        "delta.checkpointInterval": str(due),
        "delta.deletedFileRetentionDuration": kept,
        "delta.logRetentionDuration": kept,  # Delta refuses a shorter one
        "delta.enableExpiredLogCleanup": "false",
    }
