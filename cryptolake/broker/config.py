"""The broker's configuration and command line."""

from __future__ import annotations

import os
import shutil
from importlib import resources
from pathlib import Path

from cryptolake.broker.files import BrokerFiles
from cryptolake.broker.ports import LOOPBACK
from lakehouse.errors import SetupError
from lakehouse.jars import jar_paths
from lakehouse.settings import KafkaSettings


def server_properties(kafka: KafkaSettings, data: Path, ports: tuple[int, int]) -> str:
    """Write the properties of one node that is broker and controller at once (https://kafka.apache.org/41/documentation).

    Args:
        kafka: retention and default partitions.
        data: the folder of the log.
        ports: of the broker and of the controller.
    """
    broker, controller = (f"{LOOPBACK}:{port}" for port in ports)
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        # A static voter, not `--standalone`: its port is not written into the storage and may change.
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"BROKER://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"BROKER://{broker}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        # After a kill -9 the node lets itself in again only when the session of its former life is over.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": kafka.partitions,
        "log.retention.ms": kafka.retention_ms,
        "log.retention.bytes": kafka.retention_bytes,
        "log.segment.bytes": kafka.segment_bytes,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def java_command(*options: str) -> list[str]:
    """Begin a command with Java (of JAVA_HOME, else of PATH) on the broker's jars.

    Raises:
        SetupError: there is no Java, or there are no jars.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise SetupError("No Java found", "Install Java 17 or 21, or run `make setup`, which says how.")
    return [java, *options, "-cp", os.pathsep.join(str(jar) for jar in jar_paths("broker"))]


def format_command(files: BrokerFiles, cluster_id: str) -> list[str]:
    """The command that formats the storage."""
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster_id, "-c", str(files.properties)]
    return [*java_command("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *_log_options(files)), *tool]


def broker_command(kafka: KafkaSettings, files: BrokerFiles) -> list[str]:
    """The command that runs the broker, capped in memory."""
    options = [
        f"-Xmx{kafka.broker_heap_mb}m",
        f"-XX:MaxDirectMemorySize={kafka.broker_heap_mb // 2}m",
        "-XX:MaxMetaspaceSize=128m",
        "-XX:+UseSerialGC",  # two cores are shared with Spark
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        *kafka.broker_java_options.split(),
        *_log_options(files),
    ]
    return [*java_command(*options), "kafka.Kafka", str(files.properties)]


def _log_options(files: BrokerFiles) -> list[str]:
    config = resources.files("cryptolake.broker") / "log4j2.properties"
    return [
        f"-Dlog4j2.configurationFile={config}",
        f"-Dcryptolake.broker.log={files.log}",
        "-Dlog4j.shutdownHookEnabled=false",  # it would close the log before the broker has written its last lines
    ]
