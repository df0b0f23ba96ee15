"""Spark's Thrift server in this process, on loopback, for Tableau, beeline and PyHive."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.errors import CryptolakeError
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import Settings
from serving.catalog import TABLES, VIEWS, schemas

HOST = "127.0.0.1"


def serve(settings: Settings, stop: threading.Event, ready: Callable[[int], None], port: int = 0) -> None:
    """Serve the lake's tables and views as read-only views until `stop` is set.

    Args:
        settings: the home whose lake is shown.
        stop: set it to end.
        ready: called with the port once clients can connect.
        port: the port, or 0 for the setting, or a free one.

    Raises:
        CryptolakeError: there is no lake yet, or the port is taken.
    """
    port = _free_port(port or settings.serving.thrift_port)
    # Queries of tools are long and go over whole tables: here the JVM's slower compiler pays.
    patient = settings.spark.model_copy(update={"java_options": ""})
    spark = spark_session(
        settings.model_copy(update={"spark": patient}),
        {
            "spark.hadoop.hive.server2.thrift.port": str(port),
            "spark.hadoop.hive.server2.thrift.bind.host": HOST,
            "spark.sql.hive.thriftServer.singleSession": "true",
            "spark.driver.memory": settings.serving.thrift_memory,
        },
    )
    try:
        if not show_lake(Lake(spark, settings)):
            raise CryptolakeError(f"No tables in {settings.home}", "Run `cryptolake demo` first.")
        jvm: Any = spark.sparkContext._jvm  # noqa: SLF001 - the server has no Python API
        package = jvm.org.apache.spark.sql.hive.thriftserver
        module = getattr(getattr(package, "HiveThriftServer2$"), "MODULE$")
        server = module.startWithSparkSession(spark._jsparkSession, False)  # noqa: SLF001
        try:
            ready(port)
            while not stop.wait(1):  # a signal just before an endless wait would not be heard
                pass
        finally:
            server.stop()
    finally:
        spark.stop()


def show_lake(lake: Lake) -> list[str]:
    """Define every table and view that exists as a view of the session's catalog; return their names.

    Only views: a BI client that tries to write finds nothing to write to.
    """
    spark: SparkSession = lake.spark
    for schema in schemas():
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    shown = []
    for table in TABLES:
        if lake.exists(table):
            spark.sql(f"CREATE OR REPLACE VIEW {table.name} AS SELECT * FROM {lake.identifier(table)}")  # noqa: S608
            shown.append(table.name)
    for view in VIEWS:
        if view.source.name in shown:
            spark.sql(f"CREATE OR REPLACE VIEW {view.name} AS {view.spark_sql(lake.identifier(view.source))}")
            shown.append(view.name)
    return shown


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            raise CryptolakeError(f"Port {port} is taken", "Give another with --port.") from None
        return int(probe.getsockname()[1])
