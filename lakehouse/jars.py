"""Where the jars are that `make setup` fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from lakehouse.errors import SetupError

JarGroup = Literal["spark", "broker"]


def jar_paths(group: JarGroup) -> list[Path]:
    """List the jars of one group, sorted by name.

    Looked for in CRYPTOLAKE_JARS, then .jars of the working folder, then .jars beside this package.

    Raises:
        SetupError: none of the folders holds them.
    """
    beside = Path(__file__).resolve().parent.parent / ".jars"
    given = os.environ.get("CRYPTOLAKE_JARS")
    for folder in [Path(given)] if given else [Path.cwd() / ".jars", beside]:
        jars = sorted((folder / group).glob("*.jar"))
        if jars:
            return [jar.resolve() for jar in jars]
    raise SetupError(f"No {group} jars found", "Run `make setup` in the project, or set CRYPTOLAKE_JARS.")
