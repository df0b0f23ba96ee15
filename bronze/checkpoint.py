"""The stream's checkpoint, looked at before Spark takes it up: whole, and how far its batches have come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.errors import CryptolakeError

_VERSION_LINE = "v1"  # of every file but metadata


class CheckpointDamagedError(CryptolakeError):
    """A file of the checkpoint is not whole, or one that belongs to the others is missing.

    Args:
        folder: of the checkpoint.
        what: is wrong.
    """

    def __init__(self, folder: Path, what: str) -> None:
        super().__init__(f"The checkpoint {folder} is damaged: {what}", remedy_without(folder))


def remedy_without(folder: Path) -> str:
    """What to do about a checkpoint that cannot be used."""
    return f"Remove the folder {folder} and start again: bronze goes on after its highest offsets."


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says.

    Args:
        consumed: of the last batch that was done: the offset after its last record, by topic and partition.
    """

    consumed: Mapping[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read it, and refuse one that Spark would stumble over or, worse, go on from at a wrong place.

        A batch is in `offsets` when it begins and in `commits` when it is done; a crash leaves the newest without
        its commit. Commits alone may be gone: the batch is then made again, and bronze holds its offsets.

        Raises:
            CheckpointDamagedError: it is not whole.
        """
        begun, done = _batches(folder / "offsets"), _batches(folder / "commits")
        if not begun and not done:
            return cls()
        if not (folder / "metadata").exists():
            raise CheckpointDamagedError(folder, "metadata is missing")
        checkpoint_id(folder)
        if not begun or (done and done[-1] > begun[-1]):
            raise CheckpointDamagedError(folder, f"offsets/{done[-1]} is missing")
        newest = begun[-1]
        last_done = newest if done and done[-1] == newest else newest - 1
        if last_done >= 0 and last_done not in begun:
            raise CheckpointDamagedError(folder, f"offsets/{last_done} is missing")
        for path in (*(folder / "commits" / str(number) for number in done[-1:]), *_initial(folder)):
            _lines(folder, path)
        ends = {number: _ends(folder, number) for number in {newest, last_done} if number >= 0}
        return cls(ends.get(last_done, {}))


def checkpoint_id(folder: Path) -> str:
    """The id that Spark gave to the checkpoint when it began.

    Raises:
        CheckpointDamagedError: its file is not whole.
    """
    try:
        return str(json.loads((folder / "metadata").read_bytes())["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointDamagedError(folder, "metadata is not whole") from error


def _batches(folder: Path) -> list[int]:
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(name) for name in names if name.isdecimal())


def _initial(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "sources").glob("*/*") if path.name.isdecimal())


def _ends(folder: Path, number: int) -> dict[tuple[str, int], int]:
    """What a batch's offsets say; the file has a line for the batch and one for its source."""
    documents = _lines(folder, folder / "offsets" / str(number))
    try:
        _, topics = documents
        return {(topic, int(part)): int(end) for topic, parts in topics.items() for part, end in parts.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointDamagedError(folder, f"offsets/{number} is not whole") from error


def _lines(folder: Path, path: Path) -> list[Any]:
    name = path.relative_to(folder)
    try:
        version, *lines = path.read_bytes().lstrip(b"\0").decode().splitlines()
        if version != _VERSION_LINE or not lines:
            raise ValueError(version)
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise CheckpointDamagedError(folder, f"{name} is not whole") from error
