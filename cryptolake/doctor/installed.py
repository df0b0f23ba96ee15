"""What the set-up must have brought: packages as pinned, jars as locked."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from cryptolake.doctor.finding import Finding
from lakehouse.errors import CryptolakeError
from lakehouse.jars import JarGroup, jar_paths

_PROJECT = Path(__file__).resolve().parents[2]
_GROUPS: tuple[JarGroup, ...] = ("spark", "broker")


def packages() -> Iterator[Finding]:
    """The installed packages against the pins of the project."""
    wrong = []
    requirements = _requirements()
    for text in requirements:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(version, prereleases=True):
            wrong.append(f"{needed.name} is {version}, not {needed.specifier}")
    if wrong:
        yield Finding("packages", "blocks", "; ".join(wrong), "Run `make setup`.")
    else:
        yield Finding("packages", "ok", f"{len(requirements)} as pinned")


def jars_there() -> Iterator[Finding]:
    """Whether the set-up has fetched the jars."""
    for group in _GROUPS:
        try:
            jar_paths(group)
        except CryptolakeError as error:
            yield Finding(f"{group} jars", "blocks", error.what, error.remedy)


def jars() -> Iterator[Finding]:
    """The jars of Spark and of the broker against the lock file: all there, and none damaged."""
    locked = locked_jars()
    for group in _GROUPS:
        try:
            there = {path.name: path for path in jar_paths(group)}
        except CryptolakeError:
            continue  # said by `jars_there`
        wanted = locked.get(group, {})
        problems = [f"{name} is missing" for name in wanted if name not in there]
        problems += [
            f"{name} is damaged" for name, sha in wanted.items() if name in there and sha != _sha256(there[name])
        ]
        if problems:
            yield Finding(f"{group} jars", "blocks", "; ".join(problems), "Run `make setup`; it fetches them again.")
        else:
            proof = "sha256 as locked" if wanted else "no lock file at hand to check them"
            yield Finding(f"{group} jars", "ok", f"{len(there)}, {proof}")


def _requirements() -> list[str]:
    try:
        found = importlib.metadata.requires("cryptolake")
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found:
        return [text for text in found if "extra ==" not in text]
    project = _PROJECT / "pyproject.toml"
    return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])


def locked_jars() -> dict[str, dict[str, str]]:
    """Read the lock file: for each group the sha256 of each jar; empty outside a checkout."""
    path = _PROJECT / "requirements" / "jars.lock"
    locked: dict[str, dict[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if line.strip() and not line.startswith("#"):
            group, coordinates, sha = line.split()
            _, artifact, version = coordinates.split(":")
            locked.setdefault(group, {})[f"{artifact}-{version}.jar"] = sha
    return locked


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
