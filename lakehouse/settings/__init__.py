"""One frozen tree of settings: conf/base.yml, then conf/<target>.yml, then the environment, then flags."""

from lakehouse.settings.collector import BackfillSettings, CollectorSettings, SpoolSettings
from lakehouse.settings.kafka import KafkaSettings
from lakehouse.settings.lake import InboxSettings, LakeSettings, SchemaNames, SparkSettings
from lakehouse.settings.loading import load_settings
from lakehouse.settings.maintenance import MaintenanceSettings
from lakehouse.settings.models import MlflowSettings, MlSettings
from lakehouse.settings.processes import DemoSettings, SupervisorSettings
from lakehouse.settings.readers import AuditSettings, QualitySettings, ServingSettings
from lakehouse.settings.section import Section
from lakehouse.settings.simulator import (
    SimulatorFaultSettings,
    SimulatorLimitSettings,
    SimulatorMarketSettings,
    SimulatorSettings,
)
from lakehouse.settings.tree import Settings
from lakehouse.settings.venues import (
    BinanceSettings,
    BybitSettings,
    CoinCapSettings,
    CoinGeckoSettings,
    TickerSettings,
    VenueSettings,
)

__all__ = [
    "AuditSettings",
    "BackfillSettings",
    "BinanceSettings",
    "BybitSettings",
    "CoinCapSettings",
    "CoinGeckoSettings",
    "CollectorSettings",
    "DemoSettings",
    "InboxSettings",
    "KafkaSettings",
    "LakeSettings",
    "MaintenanceSettings",
    "MlSettings",
    "MlflowSettings",
    "QualitySettings",
    "SchemaNames",
    "Section",
    "ServingSettings",
    "Settings",
    "SimulatorFaultSettings",
    "SimulatorLimitSettings",
    "SimulatorMarketSettings",
    "SimulatorSettings",
    "SparkSettings",
    "SpoolSettings",
    "SupervisorSettings",
    "TickerSettings",
    "VenueSettings",
    "load_settings",
]
