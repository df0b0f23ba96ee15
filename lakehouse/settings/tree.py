"""One frozen tree of settings."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from lakehouse.settings.collector import BackfillSettings, CollectorSettings, SpoolSettings
from lakehouse.settings.kafka import KafkaSettings
from lakehouse.settings.lake import InboxSettings, LakeSettings, SparkSettings
from lakehouse.settings.maintenance import MaintenanceSettings
from lakehouse.settings.models import MlflowSettings, MlSettings
from lakehouse.settings.processes import DemoSettings, SupervisorSettings
from lakehouse.settings.readers import AuditSettings, QualitySettings, ServingSettings
from lakehouse.settings.simulator import SimulatorSettings
from lakehouse.settings.venues import VenueSettings

ENV_PREFIX = "CRYPTOLAKE__"


class Settings(BaseSettings):
    """The whole tree; built by `load_settings` only."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", case_sensitive=False
    )

    target: str
    home: Path
    lake: LakeSettings
    maintenance: MaintenanceSettings
    spark: SparkSettings
    kafka: KafkaSettings
    audit: AuditSettings
    quality: QualitySettings
    spool: SpoolSettings
    collector: CollectorSettings
    backfill: BackfillSettings
    venues: VenueSettings
    supervisor: SupervisorSettings
    inbox: InboxSettings
    demo: DemoSettings
    simulator: SimulatorSettings
    ml: MlSettings
    mlflow: MlflowSettings
    serving: ServingSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the files, and flags over both."""
        given = cast(InitSettingsSource, init_settings).init_kwargs
        flags = InitSettingsSource(settings_cls, init_kwargs=dict(given.get("flags", {})))
        files = InitSettingsSource(settings_cls, init_kwargs=dict(given.get("files", {})))
        return flags, env_settings, files
