from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import UnknownTopicOrPartitionError

from cryptolake.broker.local import (
    BrokerError,
    BrokerRunningError,
    LocalBroker,
    broker_for,
    running_broker,
    stop_broker,
)
from lakehouse.settings import Settings, load_settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(home=tmp_path_factory.mktemp("broker-home"))


@pytest.fixture
def started(home: Settings) -> Iterator[LocalBroker]:
    broker = LocalBroker(home)
    broker.start()
    yield broker
    broker.stop()


def bootstrap(settings: Settings) -> str:
    running = running_broker(settings)
    assert running is not None
    return running.bootstrap_servers


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]


def await_true(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def create_topic(servers: str, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def send(servers: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    try:
        producer.send(topic, value).get(timeout=20)
    finally:
        producer.close(timeout=5)


def read_all(servers: str, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=None, enable_auto_commit=False)
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        values: list[bytes] = []
        deadline = time.monotonic() + 20
        while len(values) < end and time.monotonic() < deadline:
            values += [record.value for records in consumer.poll(timeout_ms=200).values() for record in records]
        return values
    finally:
        consumer.close()


def test_a_frame_comes_back_byte_for_byte_from_the_shared_broker(broker: str, unique: str) -> None:
    frame = b'{"e":"trade","p":"0.10"}\x00\xff'
    create_topic(broker, f"{unique}.trade")
    send(broker, f"{unique}.trade", frame)
    assert read_all(broker, f"{unique}.trade") == [frame]


def test_a_topic_is_never_made_by_sending_to_it(broker: str, unique: str) -> None:
    producer = KafkaProducer(bootstrap_servers=broker, max_block_ms=1_500)
    with pytest.raises(Exception) as refused:  # noqa: PT011 - any refusal will do
        producer.send(f"{unique}.trade", b"x").get(timeout=5)
    producer.close(timeout=5)
    assert "imeout" in type(refused.value).__name__ or isinstance(refused.value, UnknownTopicOrPartitionError)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    assert f"{unique}.trade" not in admin.list_topics()
    admin.close()


def test_what_was_acknowledged_survives_kill_9_and_the_address_stays(home: Settings, unique: str) -> None:
    first = LocalBroker(home)
    servers = first.start()
    create_topic(servers, f"{unique}.trade")
    send(servers, f"{unique}.trade", b"kept")
    running = running_broker(home)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    await_true(lambda: not first.alive)
    assert (home.home / "run" / "broker.json").exists()
    assert running_broker(home) is None  # what the dead one left counts for nothing
    second = LocalBroker(home)
    try:
        assert second.start() == servers
        assert read_all(servers, f"{unique}.trade") == [b"kept"]
    finally:
        second.stop()


def test_a_clean_stop_leaves_no_process_no_port_and_no_state(home: Settings) -> None:
    broker = LocalBroker(home)
    servers = broker.start()
    running = running_broker(home)
    assert running is not None
    broker.stop()
    assert not alive(running.pid)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(servers.rsplit(":", 1)[1]))) != 0
    assert not (home.home / "run" / "broker.json").exists()
    assert (home.home / "kafka" / "data" / ".kafka_cleanshutdown").exists()  # the next start need not re-read segments


def test_a_second_start_on_the_same_home_is_refused_and_harms_nobody(home: Settings, started: LocalBroker) -> None:
    with pytest.raises(BrokerRunningError, match="runs already"):
        LocalBroker(home).start()
    assert started.alive
    assert bootstrap(home)


def test_broker_for_uses_the_running_one_and_leaves_it_running(home: Settings, started: LocalBroker) -> None:
    with broker_for(home) as servers:
        assert servers == bootstrap(home)
    assert started.alive


def test_broker_for_starts_one_when_none_runs_and_stops_it(home: Settings) -> None:
    with broker_for(home) as servers:
        assert servers == bootstrap(home)
    assert running_broker(home) is None


def test_broker_for_takes_the_configured_cluster_and_starts_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS", "kafka-1:9092,kafka-2:9092")
    configured = load_settings(home=settings.home)
    with broker_for(configured) as servers:
        assert servers == "kafka-1:9092,kafka-2:9092"
    assert not (settings.home / "kafka").exists()


def test_a_state_file_whose_pid_now_is_another_process_counts_for_nothing(settings: Settings) -> None:
    run = settings.home / "run"
    run.mkdir(parents=True)
    recycled = {"pid": os.getpid(), "bootstrap_servers": "127.0.0.1:1"}
    (run / "broker.json").write_text(json.dumps(recycled))
    (run / "broker.lock").write_text(str(os.getpid()))
    assert running_broker(settings) is None
    assert stop_broker(settings) is False  # and this very process is not sent a signal


def test_a_broker_outlives_its_killed_starter_and_can_be_adopted_and_stopped(home: Settings) -> None:
    program = (
        "import sys, time\n"
        "from lakehouse.settings import load_settings\n"
        "from cryptolake.broker.local import LocalBroker\n"
        "LocalBroker(load_settings(home=sys.argv[1])).start()\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(home.home)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        starter.kill()
    orphan = running_broker(home)
    assert orphan is not None
    adopter = LocalBroker(home)
    assert adopter.start(adopt=True) == orphan.bootstrap_servers
    adopter.stop()
    await_true(lambda: not alive(orphan.pid))
    assert running_broker(home) is None


def test_a_taken_port_is_given_up_for_another_one(home: Settings) -> None:
    with broker_for(home) as servers:
        port = int(servers.rsplit(":", 1)[1])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with broker_for(home) as elsewhere:
            assert elsewhere != servers
            assert bootstrap(home) == elsewhere


def test_a_broker_that_cannot_come_up_is_an_error_that_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLAKE__KAFKA__PARTITIONS", "0")  # Kafka refuses it
    with pytest.raises(BrokerError, match=r"could not be formatted|did not come up"):
        LocalBroker(load_settings(home=tmp_path)).start()
    assert running_broker(load_settings(home=tmp_path)) is None
