"""What a run was made with: the machine, its load, versions and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.site import ROOT
from scripts import java

_PACKAGES = ("pyspark", "delta-spark", "deltalake", "duckdb", "pyarrow", "confluent-kafka")


def machine() -> dict[str, Any]:
    """Describe it, without what names it."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "java": _java(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def load_average() -> list[float]:
    """Of one, five and fifteen minutes: a busy machine explains a slow run."""
    return [round(value, 2) for value in os.getloadavg()]


def commit() -> str:
    """The commit of the working tree, marked when files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return (head.stdout.strip() or "unknown") + ("+changes" if changed.stdout.strip() else "")


def _java() -> str:
    found = java.find()
    if found is None:
        return "none"
    told = subprocess.run([str(Path(found)), "-version"], capture_output=True, text=True, check=False).stderr
    return told.split('"')[1] if '"' in told else told.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
