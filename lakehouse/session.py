"""The one factory of Spark sessions."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pyspark.sql import SparkSession

from lakehouse.jars import jar_paths
from lakehouse.settings import Settings

# Every line here was measured or is needed for exactness; docs/adr/0003 says what each gave.
EXACT_CONF: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",  # Binance has t and T, m and M
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
}
HOT_PATH_CONF: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    # A step reads what it has missed however long the lake stood still: the upkeep deletes no file that it needs.
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.localRelationThreshold": "256k",  # above it the optimizer works out rows, one by one
    # What one job may bring into memory: a batch of Kafka's records that is larger stays with Spark.
    "spark.driver.maxResultSize": "512m",
    "spark.cleaner.periodicGC.interval": "10min",
    # What every column costs beyond its one call to the JVM: its call site is looked up, set and cleared.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.python.daemon.module": "silver.workers",  # by name: nothing here imports silver
    "spark.sql.constraintPropagation.enabled": "false",
}


def spark_session(settings: Settings, extra: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark with Delta and Kafka from the locked jars, on loopback, in UTC.

    Args:
        settings: home, master, memory and options of the JVM.
        extra: further configuration of one process, e.g. the Thrift server's port.

    Raises:
        SetupError: the jars are not there.
    """
    if settings.lake.catalog:
        return _session_of_the_platform()
    os.environ["TZ"] = "UTC"
    # Workers run this very Python, not whatever `python3` the PATH names.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    home = settings.home.resolve()
    local_dir = home / "tmp" / "spark"
    local_dir.mkdir(parents=True, exist_ok=True)
    builder = (
        SparkSession.builder.appName("cryptolake")
        .master(settings.spark.master)
        # In front of Spark's 287 jars, in all of which `spark.jars` would look first for each of Delta's classes.
        .config("spark.driver.extraClassPath", os.pathsep.join(str(jar) for jar in jar_paths("spark")))
        .config("spark.driver.memory", settings.spark.driver_memory)
        .config(
            "spark.driver.extraJavaOptions",
            f"{settings.spark.java_options} -Duser.timezone=UTC"
            " -Djdk.lang.Process.launchMechanism=VFORK -XX:+UseSerialGC"
            f" -Djava.io.tmpdir={local_dir} -Dderby.stream.error.file={local_dir}/derby.log",
        )
        .config("spark.local.dir", str(local_dir))
        .config("spark.sql.warehouse.dir", str(home / "tmp" / "warehouse"))
    )
    for key, value in {**EXACT_CONF, **HOT_PATH_CONF, **(extra or {})}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel(settings.spark.log_level)
    return spark


def _session_of_the_platform() -> SparkSession:
    spark = SparkSession.builder.getOrCreate()
    for key, value in EXACT_CONF.items():
        spark.conf.set(key, value)
    return spark
