"""Bronze on tables of its own, for the tests of refine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bronze_frames import Bronze, create_tables
from pyspark.sql import SparkSession

from lakehouse.home import lake_folder
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings


@pytest.fixture(scope="session")
def empty_tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake's folder with tables just made: copied, because five CREATE TABLE cost seconds."""
    settings = load_settings(home=tmp_path_factory.mktemp("empty"))
    create_tables(Lake(spark, settings))
    return lake_folder(settings)


@pytest.fixture
def new_bronze(spark: SparkSession, settings: Settings, empty_tables: Path) -> Callable[[str], Bronze]:
    """Makes bronze on a lake of its own."""

    def make(name: str) -> Bronze:
        own = settings.model_copy(update={"home": settings.home / name})
        shutil.copytree(empty_tables, lake_folder(own))
        return Bronze(Lake(spark, own))

    return make


@pytest.fixture
def bronze(new_bronze: Callable[[str], Bronze]) -> Bronze:
    """Bronze on a lake of the test's own."""
    return new_bronze("one")
