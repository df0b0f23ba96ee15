"""A broker that tests may stop, readers of its topics, and collectors as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bronze_kit import CollectorProcess, Read, Start, broker_of_its_own, topic_readers

from cryptolake.broker.local import LocalBroker


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with broker_of_its_own(tmp_path_factory.mktemp("collecting")) as local:
        yield local


@pytest.fixture
def kafka(own_broker: LocalBroker) -> str:
    """The bootstrap servers of that broker; they stay when it is started again."""
    running = own_broker._files.running()  # noqa: SLF001 - another test may have started it again
    return running.bootstrap_servers if running is not None else own_broker.start()  # or have failed while it was away


@pytest.fixture
def read_topic(kafka: str) -> Iterator[Read]:
    with topic_readers(kafka) as open_reader:
        yield open_reader


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Start]:
    """Starts collectors as processes: `collector("binance", kafka, urls, rotate_after_s=2)`, on one home."""
    started: list[CollectorProcess] = []

    def start(source: str, bootstrap: str, urls: dict[str, str], **settings: object) -> CollectorProcess:
        started.append(CollectorProcess(source, tmp_path / "home", bootstrap, urls, dict(settings)))
        return started[-1].start()

    yield start
    for each in started:
        each.kill()
        print(f"--- log of {each.source}\n{each.log()[-4000:]}")
