"""A random forest for the sign of the return over the next horizon."""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.feature import VectorAssembler

from lakehouse.settings import MlSettings
from ml.features import FEATURES

NAME = "direction_forest"


def pipeline(settings: MlSettings) -> Pipeline:
    """Build the untrained model: FEATURES in one vector, then a forest over the column label (1.0 up, 0.0 down)."""
    assembler = VectorAssembler(inputCols=list(FEATURES), outputCol="features", handleInvalid="error")
    forest = RandomForestClassifier(
        featuresCol="features",
        labelCol="label",
        numTrees=settings.trees,
        maxDepth=settings.depth,
        seed=settings.seed,
    )
    return Pipeline(stages=[assembler, forest])
