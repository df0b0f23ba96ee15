"""The bundle: every resource is valid, every name resolves, every entry point exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume
from typer.testing import CliRunner

TYPES = {"jobs": Job, "schemas": Schema, "volumes": Volume}
ROOT = Path(__file__).resolve().parents[2]


def bundle() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    return loaded


def resources() -> list[tuple[Path, str, str, dict[str, Any]]]:
    found = []
    for pattern in bundle()["include"]:
        for path in sorted(ROOT.glob(pattern)):
            for kind, named in yaml.safe_load(path.read_text(encoding="utf-8"))["resources"].items():
                found += [(path, kind, key, body) for key, body in named.items()]
    return found


def jobs() -> dict[str, dict[str, Any]]:
    return {key: body for _, kind, key, body in resources() if kind == "jobs"}


@pytest.mark.parametrize(("path", "kind", "key", "body"), resources(), ids=lambda value: getattr(value, "name", None))
def test_each_resource_is_one_of_databricks_own_types(path: Path, kind: str, key: str, body: dict[str, Any]) -> None:
    TYPES[kind].from_dict(body)
    assert path.name.startswith(f"{key}.") or kind == "schemas"


def test_there_is_a_job_for_each_step_for_training_and_for_maintenance() -> None:
    assert set(jobs()) == {"land", "refine", "aggregate", "predict", "train", "maintain"}


def test_every_variable_and_resource_that_is_named_is_there() -> None:
    declared = set(bundle()["variables"])
    existing = {f"{kind}.{key}" for _, kind, key, _ in resources()}
    files = [ROOT / "databricks.yml", *(path for path, *_ in resources())]
    for path in files:
        for name in re.findall(r"\$\{([^}]+)\}", path.read_text(encoding="utf-8")):
            scope, _, rest = name.partition(".")
            if scope == "var":
                assert rest in declared, f"{path.name}: {name}"
            elif scope == "resources":
                assert ".".join(rest.split(".")[:2]) in existing, f"{path.name}: {name}"
            else:
                assert name in {"bundle.name", "bundle.target"}, f"{path.name}: {name}"


def test_targets_give_a_value_to_every_variable_without_a_default() -> None:
    needed = {name for name, body in bundle()["variables"].items() if "default" not in body}
    for name, target in bundle()["targets"].items():
        assert needed <= set(target["variables"]), name


@pytest.mark.parametrize("key", sorted(jobs()))
def test_tasks_call_commands_of_this_wheel_with_settings_it_knows(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptolake.cli import app
    from lakehouse.settings import load_settings

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (task,) = jobs()[key]["tasks"]
    wheel = task["python_wheel_task"]
    assert wheel["package_name"] == project["name"]
    assert wheel["entry_point"] in project["scripts"]
    parameters = [text.replace("${bundle.target}", "dev") for text in wheel["parameters"]]
    assert CliRunner().invoke(app, [*parameters, "--help"]).exit_code == 0, parameters
    for cluster in jobs()[key]["job_clusters"]:
        for name, value in cluster["new_cluster"]["spark_env_vars"].items():
            monkeypatch.setenv(name, value)
    for target in bundle()["targets"]:
        assert load_settings(target=target).lake.catalog == "${var.catalog}"


def test_production_is_locked_down() -> None:
    production = bundle()["targets"]["prod"]
    assert production["mode"] == "production"
    assert production["workspace"]["root_path"]
    assert production["run_as"]["service_principal_name"]
    text = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "databricks.yml", *ROOT.glob("bundles/*.yml")])
    assert "host" not in bundle().get("workspace", {})
    assert all("host" not in target.get("workspace", {}) for target in bundle()["targets"].values())
    assert "ALL PRIVILEGES" not in text
    assert not re.search(r"password: (?!['\"]?\{\{secrets/)", text, re.IGNORECASE)


def test_streams_run_once_at_a_time_in_one_task() -> None:
    for key, body in jobs().items():
        assert body["max_concurrent_runs"] == 1, key
        if "continuous" in body:
            assert len(body["tasks"]) == 1, key
        assert re.fullmatch(r"\d+(\.\d+)?\.x-scala2\.1[23]", bundle()["variables"]["spark_version"]["default"]), (
            "not a runtime's key"
        )
