"""The lake: its names, its steps, its session, and who may ask its owner."""

from __future__ import annotations

from lakehouse.settings.section import Section


class SchemaNames(Section):
    """What the schemas are called on Databricks; locally they are folders under their own names."""

    bronze: str
    silver: str
    gold: str


class LakeSettings(Section):
    """The lake's steps: when a minute closes, when a gap opens, how much one batch takes."""

    catalog: str | None
    schemas: SchemaNames
    lateness_s: int
    clock_skew_s: int
    correction_interval_s: int
    gap_open_s: float
    settle_keys: int
    compiled_rows: int
    arrow_rows: int
    few_frames: int
    few_bytes: int
    strict_frames: int
    settle_ranges: int
    drain_versions: int
    trigger_interval_ms: int
    max_offsets_per_trigger: int
    records_per_task: int
    rows_per_file: int
    replay_rows: int
    replay_bytes: int
    restart_limit: int
    restart_backoff_s: float

    def are_few(self, frames: int, payload_bytes: int) -> bool:
        """Whether so many frames of so many bytes may be taken into memory."""
        return frames <= self.few_frames and payload_bytes <= self.few_bytes


class SparkSettings(Section):
    """The local Spark session."""

    master: str
    driver_memory: str
    java_options: str
    log_level: str


class InboxSettings(Section):
    """What commands ask of the owner of the lake."""

    answer_timeout_s: float
    owner_return_s: float
