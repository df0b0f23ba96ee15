"""The champion as the predict step uses it: loaded once, and again when another version takes its place."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pyspark.ml import PipelineModel

from lakehouse.settings import Settings
from ml.features import FEATURES
from ml.registry import RegisteredModel, Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """A loaded model and what training noted on it.

    Args:
        registered: its name, version and tags.
        pipeline: the model itself.
    """

    registered: RegisteredModel
    pipeline: PipelineModel

    @property
    def horizon_s(self) -> int:
        """How far ahead it looks, seconds."""
        return int(self.registered.tags["horizon_s"])

    @property
    def majority(self) -> str:
        """The commoner class of its training rows, up or down."""
        return self.registered.tags["majority"]

    @property
    def train_up_share(self) -> float:
        """Share of its training rows that went up."""
        return float(self.registered.tags["train_up_share"])


class ChampionSource:
    """Where the champion comes from.

    Args:
        settings: section ml, and where MLflow is.
    """

    def __init__(self, settings: Settings) -> None:
        self._name = settings.ml.model_name
        self._registry = Registry(settings)
        self._loaded: Champion | None = None
        self._refused: str | None = None

    def current(self) -> Champion | None:
        """Return the champion; None when there is none, or it was trained on other features than this code makes."""
        found = self._registry.champion(self._name)
        if found is None:
            return None
        if self._loaded is not None and self._loaded.registered.version == found.version:
            return self._loaded
        if found.tags.get("features") != ",".join(FEATURES):
            if self._refused != found.version:
                log.warning("%s version %s knows other features: run `cryptolake train`", found.name, found.version)
            self._refused = found.version
            return None
        self._loaded = Champion(found, self._registry.load(found))
        return self._loaded
