"""What the log of a table in a folder says of its own upkeep."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.settings.maintenance import MaintenanceSettings


def kept_properties(limits: MaintenanceSettings) -> Mapping[str, str]:
    """Properties by which checkpoints forget removed files in time, and nobody but the upkeep cuts the log.

    Delta's own clean-up knows nothing of marks; and with its seven days of removed files, of which there is one for
    every small commit, a checkpoint would name hundreds of thousands.
    """
    kept = f"interval {max(1, round(limits.keep_files_s))} seconds"
    return {
        "delta.deletedFileRetentionDuration": kept,
        "delta.logRetentionDuration": kept,  # Delta refuses a shorter one
        "delta.enableExpiredLogCleanup": "false",
    }
