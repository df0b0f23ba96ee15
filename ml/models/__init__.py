"""The models, one file each, by the name they are registered under."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.ml import Pipeline

from lakehouse.errors import CryptolakeError
from lakehouse.settings import MlSettings
from ml.models import direction_forest

MODELS: Mapping[str, Callable[[MlSettings], Pipeline]] = {
    direction_forest.NAME: direction_forest.pipeline,
}


def untrained(settings: MlSettings) -> Pipeline:
    """Build the model that the settings name.

    Raises:
        CryptolakeError: there is no model of that name.
    """
    if settings.model_name not in MODELS:
        raise CryptolakeError(f"No model is called {settings.model_name!r}", f"Models: {', '.join(sorted(MODELS))}.")
    return MODELS[settings.model_name](settings)
