"""The log of a table in a folder, file by file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ulid import ULID

_NAME = re.compile(r"(\d{20})\.(json$|checkpoint\.parquet$|.)")
# Every file that a commit adds or removes must say so; the text is looked through because there may be thousands.
_CHANGE = re.compile(r'"dataChange"\s*:\s*true|^\{\s*"cdc"', re.MULTILINE)
Action = dict[str, Any]


@dataclass(frozen=True)
class LogFile:
    """One file of a log: what it is of, and when it was written (s since 1970)."""

    version: int
    kind: str
    name: str
    written_s: float

    @property
    def is_commit(self) -> bool:
        """Whether it is the commit itself."""
        return self.kind == "json"

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is a checkpoint in one file, from which the table can be read."""
        return self.kind == "checkpoint.parquet"


class LogFolder:
    """Reads and writes the log of one table.

    Args:
        table_folder: the folder of the table.
    """

    def __init__(self, table_folder: Path) -> None:
        self._folder = table_folder / "_delta_log"

    def files(self) -> list[LogFile]:
        """All files that are of a version, the oldest first."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if (name := _NAME.match(entry.name)) and not entry.is_dir():
                    found.append(LogFile(int(name[1]), name[2], entry.name, entry.stat().st_mtime))
        return sorted(found, key=lambda file: (file.version, file.name))

    def actions(self, version: int, *kinds: str) -> Iterator[tuple[str, Action]]:
        """The actions of some kinds of one commit.

        Raises:
            FileNotFoundError: it is no longer, or not yet, in the log.
        """
        lines = (self._folder / f"{version:020d}.json").read_text(encoding="utf-8").splitlines()
        for kind in kinds:
            yield from ((kind, json.loads(line)[kind]) for line in lines if line.startswith(f'{{"{kind}"'))

    def changes_rows(self, after_version: int, to_version: int) -> bool:
        """Whether one of the versions (after_version, to_version] may hold other rows than the one before it."""
        commits = (self._folder / f"{version:020d}.json" for version in range(after_version + 1, to_version + 1))
        try:
            return any(_CHANGE.search(commit.read_text(encoding="utf-8")) for commit in commits)
        except FileNotFoundError:
            return True

    def hinted_checkpoint(self) -> int:
        """The checkpoint from which readers are told to start; -1 when they are told of none."""
        try:
            return int(json.loads((self._folder / "_last_checkpoint").read_text(encoding="utf-8"))["version"])
        except FileNotFoundError:
            return -1

    def checkpoint_path(self, version: int) -> Path:
        """The file of a checkpoint."""
        return self._folder / f"{version:020d}.checkpoint.parquet"

    def commit(self, version: int, actions: list[Action]) -> bool:
        """Write one commit, wholly or not at all; False when another was faster.

        Args:
            version: the one after the newest.
            actions: in the order of their lines.
        """
        text = "".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions)
        beside = self._folder / f".{ULID()}.json.tmp"
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            (self._folder / f"{version:020d}.json").hardlink_to(beside)  # unlike a rename it replaces nothing
        except FileExistsError:
            return False
        finally:
            beside.unlink(missing_ok=True)
        return True

    def delete(self, files: Sequence[LogFile]) -> None:
        """Delete files, in their order: what a crash leaves of old commits has no hole."""
        for file in files:
            (self._folder / file.name).unlink(missing_ok=True)


def cut(files: list[LogFile], keep_after_s: float, needed_from: int, hinted: int) -> list[LogFile]:
    """The files of a log that no reader needs: all below a checkpoint that is old enough.

    A newer checkpoint must lie above that one: a reader that has loaded the table from a still older one, as Spark
    does once and then goes on from there, finds a checkpoint among what came since.

    Args:
        files: of the log, the oldest first.
        keep_after_s: commits written later than this stay, seconds since 1970.
        needed_from: so do this version and those above it: a step has still to read them.
        hinted: the checkpoint that `_last_checkpoint` names.
    """
    young = min((file.version for file in files if file.is_commit and file.written_s > keep_after_s), default=None)
    checkpoints = [file.version for file in files if file.is_checkpoint]
    bound = min(needed_from, hinted, *(() if young is None else (young,)))
    bases = [version for version in checkpoints[:-1] if version <= bound]
    return [file for file in files if file.version < bases[-1]] if bases else []
