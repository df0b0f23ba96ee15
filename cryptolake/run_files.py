"""Small JSON files by which the processes of a home tell each other where they are and how they do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lakehouse.settings import Settings


def run_file(settings: Settings, name: str) -> Path:
    """Where a running process of this home tells its pid and ports."""
    return settings.home.resolve() / "run" / f"{name}.json"


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a file; empty when there is none, or it is half written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(path)
