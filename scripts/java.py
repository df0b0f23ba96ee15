"""Java 17 or newer: the one thing that pip cannot bring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

from scripts import apt
from scripts.report import SetupFailedError, say

OLDEST = 17
DEBIAN_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless")  # newer releases have the second only


def find() -> str | None:
    """Return the Java that Spark will take: of JAVA_HOME if set, else the first of PATH."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=os.path.join(home, "bin") if home else None)


def version(java: str) -> int | None:
    """Ask a Java for its major version; None when it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found.group(1)) if found else None


def ensure() -> str:
    """Return the path of a Java that will do, installing one where that can be done.

    Raises:
        SetupFailedError: there is none; the message holds the line to type.
    """
    java = _good()
    if java is None and os.environ.get("JAVA_HOME") is None and apt.may_install():
        say("no Java 17+ found")
        apt.install(*DEBIAN_PACKAGES)
        java = _good()
    if java is None:
        raise SetupFailedError(remedy())
    return java


def remedy() -> str:
    """Say in one line what to type."""
    home = os.environ.get("JAVA_HOME")
    if home:
        return f"JAVA_HOME={home} holds no Java {OLDEST}+. Point it to one, or: unset JAVA_HOME"
    how = "install Java 17 or 21 from your system's packages"
    if apt.is_debian():
        how = f"sudo apt-get update && sudo apt-get install -y {DEBIAN_PACKAGES[0]}"
    elif sys.platform == "darwin":
        how = 'brew install openjdk@17 && export JAVA_HOME="$(brew --prefix openjdk@17)"'
    elif shutil.which("dnf"):
        how = "sudo dnf install -y java-21-openjdk-headless"
    return f"Java {OLDEST}+ is needed and was not found. Type: {how}"


def _good() -> str | None:
    java = find()
    if java is None:
        return None
    major = version(java)
    if major is None or major < OLDEST:
        return None
    say(f"Java {major} at {java}")
    return java
