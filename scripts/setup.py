"""Bring the machine to where `cryptolake` runs: Java, virtual environment, packages, jars.

`python -m scripts.setup run` (or `dev`, with the tools for tests and checks). What is done is noted in
`.venv/setup.json`, so that a second start looks at files only: no download, no network.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from scripts import ivy, jars, java
from scripts.environment import Environment
from scripts.report import SetupFailedError, fail, say

ROOT = Path(__file__).resolve().parents[1]
NOTE = "setup.json"
LOCK_FILES = ("uv.lock", "build.lock", "run.lock", "dev.lock")


def packages_digest(root: Path) -> str:
    """Digest what decides on the packages: the locks, Python, and the place, which their scripts hold."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {root}".encode())
    for name in LOCK_FILES:
        digest.update((root / "requirements" / name).read_bytes())
    return digest.hexdigest()


def jars_digest(root: Path) -> str:
    """Digest the lock of the jars, and size and time of every jar there: content that changes changes these."""
    digest = hashlib.sha256((root / "requirements" / "jars.lock").read_bytes())
    for file in sorted((root / ".jars").glob("*/*.jar")):
        state = file.stat()
        digest.update(f"{file.parent.name}/{file.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read_done(environment: Environment) -> dict[str, Any]:
    """Read what an earlier set-up has done; nothing when the environment is gone."""
    try:
        done: dict[str, Any] = json.loads((environment.folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return done if environment.python.exists() else {}


def write_done(environment: Environment, done: dict[str, Any]) -> None:
    """Note what has been done, whole or not at all."""
    scratch = environment.folder / f"{NOTE}.new"
    scratch.write_text(json.dumps(done), encoding="utf-8")
    scratch.replace(environment.folder / NOTE)


def set_up(root: Path, lock: str) -> None:
    """Do what is not done yet.

    Args:
        root: the project's folder.
        lock: "run", or "dev", which holds all of run and more.

    Raises:
        SetupFailedError: with the line for the user.
    """
    environment = Environment(root)
    done = read_done(environment)
    found_java = java.find()
    if found_java is None or done.get("java") != [found_java, os.path.realpath(found_java)]:
        found_java = java.ensure()
    packages = _set_up_packages(root, environment, lock, done.get("packages", {}))
    project = hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest()
    if packages != done.get("packages") or project != done.get("project"):
        environment.install_project()
    if packages != done.get("compiled"):
        environment.compile_programs()
    if done.get("jars") != jars_digest(root):
        say("checking the jars")
        fetch = ivy.fetcher(found_java, environment.site_packages)
        jars.ensure(jars.read_lock(root / "requirements" / "jars.lock"), root / ".jars", fetch)
    now = {
        "java": [found_java, os.path.realpath(found_java)],
        "packages": packages,
        "project": project,
        "compiled": packages,
        "jars": jars_digest(root),
    }
    if now != done:
        write_done(environment, now)
        say("done")


def _set_up_packages(root: Path, environment: Environment, lock: str, have: dict[str, str]) -> dict[str, str]:
    """Install the lock's packages unless they are there; return what is there now."""
    wanted = packages_digest(root)
    enough = have.get("lock") in (lock, "dev")
    if have.get("digest") == wanted and enough:
        return have
    if have.get("lock") == "dev":
        lock = "dev"  # who runs the demo after the tests keeps the tools
    (environment.folder / NOTE).unlink(missing_ok=True)  # an install that is broken off must not count as done
    environment.ensure()
    environment.install_packages(lock)
    return {"digest": wanted, "lock": lock}


def main() -> int:
    """Set up for the lock named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts.setup", description="Set up the project.")
    parser.add_argument("lock", nargs="?", default="run", choices=("run", "dev"))
    lock = parser.parse_args().lock
    with (ROOT / "pyproject.toml").open("rb") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        try:
            set_up(ROOT, lock)
        except SetupFailedError as error:
            return fail(error)
        except KeyboardInterrupt:
            return fail(SetupFailedError("stopped; `make setup` goes on from here"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
