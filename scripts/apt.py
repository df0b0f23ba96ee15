"""Debian and Ubuntu packages, installed where the set-up runs as root and named where it does not."""

from __future__ import annotations

import os
import shutil
import subprocess

from scripts.report import say


def is_debian() -> bool:
    """Say whether the system has apt-get."""
    return shutil.which("apt-get") is not None


def may_install() -> bool:
    """Say whether packages can be installed without asking anybody."""
    return is_debian() and os.geteuid() == 0


def install(*alternatives: str) -> bool:
    """Install the first of these packages that the system's release has; return whether one was installed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update"], stdin=subprocess.DEVNULL, env=environment, check=False)
    for package in alternatives:
        say(f"installing {package} with apt-get")
        command = ["apt-get", "install", "-y", "--no-install-recommends", package]
        if subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False).returncode == 0:
            return True
    return False
