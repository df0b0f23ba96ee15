"""What the machine must have: Python, Java, memory, loopback, disk."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptolake.doctor.finding import Finding
from lakehouse.settings import Settings

_PYTHONS = ((3, 11), (3, 12))
_JAVAS = range(17, 22)
_MEMORY_GIB, _DISK_GIB, _DISK_FREE_SHARE = 4.0, 2.0, 0.10


def python() -> Iterator[Finding]:
    """The interpreter."""
    seen = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info[:2] in _PYTHONS:
        yield Finding("python", "ok", seen)
    else:
        yield Finding("python", "blocks", seen, "Install Python 3.11 or 3.12 and run `make setup` with it.")


def java() -> Iterator[Finding]:
    """The Java that Spark and the broker would use: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin" if home else None)
    where = f"JAVA_HOME={home}" if home else "PATH"
    mend = "Install Java 17 or 21 (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17)."
    if path is None:
        yield Finding("java", "blocks", f"no java in {where}", mend)
        return
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    found = re.search(r'version "(\d+)', shown.stderr + shown.stdout)
    if found is None:
        yield Finding("java", "blocks", f"{path} does not say its version", mend)
    elif int(found[1]) < _JAVAS.start:
        yield Finding("java", "blocks", f"Java {found[1]} at {path}", mend)
    elif int(found[1]) not in _JAVAS:
        yield Finding("java", "warning", f"Java {found[1]} at {path}: not proved with Spark 4.1", mend)
    else:
        yield Finding("java", "ok", f"Java {found[1]} at {path}")


def memory() -> Iterator[Finding]:
    """Free memory: the broker takes about 0.7 GiB, the lake 3, the rest 1."""
    pages = os.sysconf("SC_PAGE_SIZE")
    total_gib = os.sysconf("SC_PHYS_PAGES") * pages / 2**30
    free_gib = total_gib
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text(encoding="utf-8"))
        free_gib = int(found[1]) / 2**20 if found else total_gib
    seen = f"{free_gib:.1f} of {total_gib:.1f} GiB free, {os.cpu_count()} cores"
    if free_gib < _MEMORY_GIB:
        remedy = (
            f"The demo takes about {_MEMORY_GIB:.0f} GiB: end something, or set CRYPTOLAKE__SPARK__DRIVER_MEMORY=1g."
        )
        yield Finding("memory", "warning", seen, remedy)
    else:
        yield Finding("memory", "ok", seen)


def loopback() -> Iterator[Finding]:
    """Whether a port can be bound on 127.0.0.1 and connected to."""
    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError as error:
        yield Finding("loopback", "blocks", f"127.0.0.1 does not work: {error}", "Bring it up: ip link set lo up.")
        return
    yield Finding("loopback", "ok", "127.0.0.1 can be bound and reached; all ports are free ones")


def disk(settings: Settings) -> Iterator[Finding]:
    """Free disk under the home."""
    folder = next(path for path in (settings.home.resolve(), *settings.home.resolve().parents) if path.exists())
    usage = shutil.disk_usage(folder)
    seen = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB free at {folder}"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "blocks", f"{folder} cannot be written", "Give a folder of your own with --home.")
    elif usage.free / 2**30 < _DISK_GIB:
        yield Finding("disk", "blocks", seen, f"At least {_DISK_GIB:.0f} GiB are needed: make room, or move --home.")
    elif usage.free < _DISK_FREE_SHARE * usage.total:
        yield Finding("disk", "warning", f"{seen}, less than 10 %", "Make room, or move the home with --home.")
    else:
        yield Finding("disk", "ok", seen)
