"""Runs and models in MLflow: SQLite and a folder under the home, unless another tracking server is set."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel

from lakehouse.settings import Settings

CHAMPION = "champion"
_MODEL_FOLDER = "model"
_SPARK_FOLDER = "sparkml"


@dataclass(frozen=True)
class RegisteredModel:
    """One version of a model in the registry.

    Args:
        name: the registered name.
        version: the version, as the registry writes it.
        run_id: the run that trained it.
        tags: what training noted on it, e.g. the majority class.
    """

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]


class Registry:
    """The tracking server and model registry of these settings.

    MLflow is imported by the first call that needs it (it takes seconds); its telemetry is off.

    Args:
        settings: home, tracking URI, experiment, model name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.home.resolve() / "mlflow"
        self._uri = settings.mlflow.tracking_uri or f"sqlite:///{self._folder / 'mlflow.db'}"
        self._client: Any = None
        self._connecting = threading.Lock()

    @property
    def tracking_uri(self) -> str:
        """Where the runs are, e.g. for `mlflow ui --backend-store-uri`."""
        return self._uri

    def prepare(self) -> None:
        """Import MLflow and make its database where there is none: ten seconds that another thread can spend."""
        self._connected()

    def champion(self, name: str) -> RegisteredModel | None:
        """The version that has the alias champion; None when there is none yet."""
        if not self._settings.mlflow.tracking_uri and not (self._folder / "mlflow.db").exists():
            return None  # do not import MLflow, nor create its database, only to find it empty
        client = self._connected()
        from mlflow.exceptions import MlflowException

        try:
            found = client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException:
            return None
        return RegisteredModel(name, str(found.version), str(found.run_id), dict(found.tags))

    def load(self, model: RegisteredModel) -> PipelineModel:
        """Load a version as the Spark pipeline it is."""
        self._connected()
        import mlflow

        mlflow.set_tracking_uri(self._uri)
        loaded: PipelineModel = mlflow.spark.load_model(f"models:/{model.name}/{model.version}")
        return loaded

    def register(
        self,
        model: PipelineModel,
        name: str,
        *,
        inputs: Sequence[str],
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> RegisteredModel:
        """Log a trained pipeline as a run, register it as a new version of `name`, and make that the champion.

        Args:
            model: the fitted pipeline.
            name: the registered name.
            inputs: the columns it reads, all doubles.
            params: what it was trained with.
            metrics: its scores.
            tags: kept on the version, for whoever loads it.
        """
        client = self._connected()
        run = client.create_run(self._experiment_id(), run_name=name)
        run_id = run.info.run_id
        self._log_batch(run_id, params, metrics)
        with tempfile.TemporaryDirectory(dir=self._scratch()) as scratch:
            _save(model, Path(scratch), inputs, f"{name}-{run_id}")
            client.log_artifacts(run_id, scratch, _MODEL_FOLDER)
        client.set_terminated(run_id)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        source = f"{run.info.artifact_uri}/{_MODEL_FOLDER}"
        version = client.create_model_version(name, source, run_id, tags=dict(tags))
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return RegisteredModel(name, str(version.version), run_id, dict(tags))

    def _log_batch(self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, Param

        now_ms = time.time_ns() // 1_000_000
        self._connected().log_batch(
            run_id,
            params=[Param(key, str(value)) for key, value in params.items()],
            metrics=[Metric(key, value, now_ms, 0) for key, value in metrics.items()],
        )

    def _experiment_id(self) -> str:
        client, name = self._connected(), self._settings.mlflow.experiment
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None if self._settings.mlflow.tracking_uri else (self._folder / "artifacts").as_uri()
        return str(client.create_experiment(name, artifact_location=location))

    def _connected(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Before the import, which reads them.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        import mlflow.spark

        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        return mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def _scratch(self) -> Path:
        folder = self._settings.home.resolve() / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _save(model: PipelineModel, folder: Path, inputs: Sequence[str], uuid: str) -> None:
    """Write a pipeline as mlflow.spark writes it.

    mlflow.spark.log_model itself copies through Hadoop's LocalFileSystem, and fails on the raw one that the lake uses.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    model.write().overwrite().save((folder / _SPARK_FOLDER).as_uri())
    signature = ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in inputs]),
        outputs=Schema([ColSpec("double", "prediction")]),
    )
    described = Model(artifact_path=_MODEL_FOLDER, signature=signature)
    described.add_flavor(
        "spark",
        pyspark_version=metadata.version("pyspark"),
        model_data=_SPARK_FOLDER,
        model_class=f"{type(model).__module__}.{type(model).__qualname__}",
        code=None,
    )
    mlflow.pyfunc.add_to_model(described, loader_module="mlflow.spark", data=_SPARK_FOLDER, env={})
    described.save(str(folder / "MLmodel"))
    wanted = [f"{name}=={metadata.version(name)}" for name in ("mlflow", "pyspark")]
    (folder / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
