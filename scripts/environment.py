"""The virtual environment: made by venv, filled by uv from a lock with hashes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts import apt
from scripts.report import SetupFailedError, say

# What the processes of a home, the training and the commands that read import.
_PROGRAMS = (
    "cryptolake.cli",
    "cryptolake.demo.run",
    "cryptolake.broker.local",
    "simulator.server",
    "bronze.collector",
    "bronze.klines",
    "cryptolake.backfill",
    "cryptolake.running",
    "ml.training",
    "mlflow.spark",
)
_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


class Environment:
    """The project's `.venv`.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._uv = self.folder / "bin" / "uv"

    @property
    def site_packages(self) -> Path:
        """Where the packages are."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def ensure(self) -> None:
        """Make the environment for this Python if it is not there or is broken.

        Raises:
            SetupFailedError: this Python cannot make one.
        """
        if self._works():
            return
        _ensure_venv_module()
        say(f"making {self.folder.name} with Python {sys.version.split()[0]}")
        # Not sys.executable: that may be the very environment that is to be made anew.
        python = getattr(sys, "_base_executable", sys.executable)
        shutil.rmtree(self.folder, ignore_errors=True)
        _run([python, "-m", "venv", str(self.folder)], "The virtual environment could not be made")

    def install_packages(self, lock: str) -> None:
        """Install exactly the packages of `requirements/<lock>.lock`.

        Raises:
            SetupFailedError: a package could not be fetched, or its hash is not the lock's.
        """
        requirements = self._root / "requirements"
        failed = "The packages could not be installed. Check the network, then run `make setup` again"
        if not self._uv.is_file():
            say("installing uv")
            pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
            _run([*pip, "--require-hashes", "--only-binary=:all:", f"--requirement={requirements / 'uv.lock'}"], failed)
        say(f"installing the packages of {lock}.lock (a first time takes minutes)")
        sync = [str(self._uv), "pip", "sync", "--require-hashes", f"--python={self.python}"]
        # The few packages that come as source are built with hash-checked tools too.
        sync += [f"--build-constraints={requirements / 'build.lock'}"]
        _run([*sync, str(requirements / f"{lock}.lock"), str(requirements / "uv.lock")], failed)

    def install_project(self) -> None:
        """Install the project itself in place, without a network.

        Raises:
            SetupFailedError: it could not be built.
        """
        say("installing the project in place")
        editable = [str(self._uv), "pip", "install", f"--python={self.python}", "--no-deps", "--no-build-isolation"]
        _run([*editable, "--offline", "--quiet", "--editable", str(self._root)], "The project could not be installed")

    def compile_programs(self) -> None:
        """Keep the bytecode of what runs.

        uv makes none, and all processes of a first start would compile the same at once; where PYTHONDONTWRITEBYTECODE
        is set, as in many images, those of every start. Measured without and with: 1.6 and 0.9 cpu-s for the imports of
        a collector, 5.6 and 2.3 for those of the lake. Of the 13,000 files only what is imported is compiled.

        Raises:
            SetupFailedError: something of it cannot be imported.
        """
        say("compiling the programs")
        keep = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        _run([str(self.python), "-c", _IMPORT, *_PROGRAMS], "The programs could not be imported", keep)

    def _works(self) -> bool:
        """Say whether the environment was made in this very place (its scripts hold the path) and by this Python."""
        try:
            made = (self.folder / "pyvenv.cfg").read_text(encoding="utf-8")
        except OSError:
            return False
        runs = self.python.exists() and (self.site_packages / "pip" / "__init__.py").is_file()
        return runs and f" {self.folder}\n" in made


def _ensure_venv_module() -> None:
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if apt.may_install() and apt.install(package, "python3-venv"):
        return
    how = f"sudo apt-get update && sudo apt-get install -y {package}" if apt.is_debian() else f"install {package}"
    raise SetupFailedError(f"This Python cannot make virtual environments. Type: {how}")


def _run(command: list[str], what: str, variables: Mapping[str, str] = os.environ) -> None:
    environment = {key: value for key, value in variables.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False).returncode != 0:
        raise SetupFailedError(f"{what}.")
