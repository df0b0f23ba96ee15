"""The jars of requirements/jars.lock: fetched by Ivy, kept only when their sha256 is the lock's."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from scripts.report import SetupFailedError, say


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    organisation: str
    name: str
    revision: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The file's name in the folder of its group."""
        return f"{self.name}-{self.revision}.jar"


Fetch = Callable[[Sequence[Jar], Path], None]
"""Fetches jars of one group into a folder, as far as it can."""


def read_lock(path: Path) -> list[Jar]:
    """Read the lock: group, organisation:name:revision, sha256."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    jars = []
    for group, coordinates, digest in (line for line in lines if line and not line[0].startswith("#")):
        organisation, name, revision = coordinates.split(":")
        jars.append(Jar(group, organisation, name, revision, digest))
    return jars


def sha256(path: Path) -> str:
    """Digest a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wrong(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """List the jars that are missing from `<folder>/<group>` or whose content is not the lock's."""
    files = ((jar, folder / jar.group / jar.file_name) for jar in jars)
    return [jar for jar, file in files if not file.is_file() or sha256(file) != jar.sha256]


def ensure(jars: Sequence[Jar], folder: Path, fetch: Fetch) -> None:
    """Bring `<folder>/<group>` to hold exactly the locked jars; what is wrong is fetched again, once, then refused.

    Raises:
        SetupFailedError: a jar could not be fetched, or what came is not what the lock says.
    """
    todo = wrong(jars, folder)
    for attempt in ("", " again"):
        if not todo:
            break
        for group, members in groupby(todo, key=lambda jar: jar.group):
            batch = list(members)
            say(f"fetching {len(batch)} jars for {group}{attempt}")
            _fetch_checked(batch, folder, fetch)
        todo = wrong(todo, folder)
    try:
        if todo:
            raise SetupFailedError(_refusal(todo[0], folder))
    finally:
        shutil.rmtree(folder / ".fetched", ignore_errors=True)
    _remove_strangers(jars, folder)


def _fetch_checked(batch: Sequence[Jar], folder: Path, fetch: Fetch) -> None:
    """Fetch into a folder beside, and move into place only what has the right sha256."""
    scratch = folder / ".fetched" / batch[0].group
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    fetch(batch, scratch)
    for jar in batch:
        file = scratch / jar.file_name
        place = folder / jar.group / jar.file_name
        place.unlink(missing_ok=True)
        if file.is_file() and sha256(file) == jar.sha256:
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)


def _refusal(jar: Jar, folder: Path) -> str:
    fetched = folder / ".fetched" / jar.group / jar.file_name
    if not fetched.is_file():
        return f"{jar.file_name} could not be fetched. Check the network, then run `make setup` again."
    return (
        f"{jar.file_name} is refused: its sha256 is {sha256(fetched)}, requirements/jars.lock says {jar.sha256}."
        " Either what was downloaded or the lock is wrong; it was not kept."
    )


def _remove_strangers(jars: Sequence[Jar], folder: Path) -> None:
    """Remove jars that an earlier lock brought: all of a group's folder is on the class path."""
    wanted = {folder / jar.group / jar.file_name for jar in jars}
    for file in {path for jar in jars for path in (folder / jar.group).glob("*.jar")} - wanted:
        say(f"removing {file.name}, which is not in the lock")
        file.unlink()
