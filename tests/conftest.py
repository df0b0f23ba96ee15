"""What all tests share: homes in temporary folders, one real Spark with Delta, one real broker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from simulator_process import SimulatorProcess
from ways import Way

from cryptolake.broker.local import LocalBroker
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import Settings, load_settings
from silver.once import RUN_ONCE_CONF

pytest_plugins = ["experiments"]
REPO_ROOT = Path(__file__).resolve().parents[1]
_names = count(1)

# What the settings give Spark's JVM also for the Thrift server, which lives longer than a test: with the quick compiler
# alone the tests of aggregate, refine, bars and trends take 64 instead of 93 s.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m")

# Plans are interpreted, unless a test asks for `compiled` ones: what code a plan becomes matters to the exactness of
# transforms, not to which rows a step writes.
INTERPRETED = RUN_ONCE_CONF
COMPILED = dict.fromkeys(INTERPRETED, "true") | {"spark.sql.codegen.factoryMode": "FALLBACK"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: two workers then end together."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The root of the project."""
    return REPO_ROOT


@pytest.fixture(scope="session")
def recorded_data(repo_root: Path) -> Path:
    """The folder of recorded market data; without it the test is skipped."""
    folder = repo_root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no recorded market data: ../shared/data is not there")
    return folder


@pytest.fixture(scope="session")
def session_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings on the home that the shared Spark session and the shared broker live in."""
    return load_settings(home=tmp_path_factory.mktemp("shared-home"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on a home of the test's own."""
    return load_settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def spark(session_settings: Settings) -> Iterator[SparkSession]:
    """The one Spark session of the test run, with Delta and Kafka."""
    session = spark_session(session_settings, INTERPRETED)
    yield session
    session.stop()


@contextmanager
def plans(spark: SparkSession, confs: dict[str, str]) -> Iterator[None]:
    for key, value in confs.items():
        spark.conf.set(key, value)
    yield
    for key, value in INTERPRETED.items():
        spark.conf.set(key, value)


@pytest.fixture(scope="module")
def compiled(spark: SparkSession) -> Iterator[None]:
    """For the tests of a module Spark compiles plans, as it does in production."""
    with plans(spark, COMPILED):
        yield


@pytest.fixture(scope="module", params=[COMPILED, INTERPRETED, None], ids=["compiled", "interpreted", "in memory"])
def way(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[Way]:
    """Every way to make bars and trends."""
    with plans(spark, request.param or {}):
        yield Way(spark, in_memory=request.param is None)


@pytest.fixture
def lake(spark: SparkSession, settings: Settings) -> Lake:
    """An empty lake in the test's own home, seen through the shared session."""
    return Lake(spark, settings)


@pytest.fixture(scope="session")
def broker(session_settings: Settings) -> Iterator[str]:
    """The bootstrap servers of the one broker of the test run; use `unique` for names of topics."""
    local = LocalBroker(session_settings)
    yield local.start()
    local.stop()


@pytest.fixture
def unique() -> str:
    """A name that no other test of this run uses, e.g. for a venue whose topics live in the shared broker."""
    return f"t{os.getpid()}n{next(_names)}"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Callable[..., SimulatorProcess]]:
    """Starts market simulators, each on a home of its own: `simulator(rate=1000, faults="drop_share=0.1")`."""
    started: list[SimulatorProcess] = []

    def start(**flags: object) -> SimulatorProcess:
        started.append(SimulatorProcess(tmp_path / f"simulator-{len(started)}", dict(flags)))
        return started[-1].start()

    yield start
    for each in started:
        each.end()
