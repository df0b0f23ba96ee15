"""Which files of a table are made one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lakehouse.settings.maintenance import MaintenanceSettings


@dataclass(frozen=True)
class DataFile:
    """A file of the newest version of a table.

    Args:
        path: as the log has it.
        size: in bytes.
        first_us: the least time of its rows, us since 1970, where the log tells; else when they were committed.
        written_ms: when they were committed, ms since 1970; a compacted file has the time of its newest rows.
    """

    path: str
    size: int
    first_us: int
    written_ms: int


@dataclass(frozen=True)
class Worth:
    """What is worth a rewriting.

    Args:
        target_bytes: the size to reach; a file of half of it is left alone.
        fewest: fewer files are not worth it, unless they fill half of the target.
        most: files at once.
        largest_share: a file that would be more than this share of the new one is left out: it would be rewritten again
            and again for a little that is added.
    """

    target_bytes: int
    fewest: int
    most: int
    largest_share: float

    @classmethod
    def by_and_by(cls, limits: MaintenanceSettings, target_bytes: int) -> Worth:
        """For upkeep beside the stream: every rewriting at least doubles a file."""
        return cls(target_bytes, limits.fewest_files, limits.most_files, 0.5)

    @classmethod
    def at_once(cls, limits: MaintenanceSettings, target_bytes: int) -> Worth:
        """For who asks for it: whatever can be one file becomes one."""
        return cls(target_bytes, 2, limits.most_files, 1)


def next_group(files: Sequence[DataFile], worth: Worth) -> list[DataFile]:
    """Choose neighbours that become one file; empty when there is nothing to gain.

    Only files that lie side by side in the order of time are made one, so that the bounds of times stay narrow; small
    ones come first.

    Args:
        files: all but those that must not be touched, in any order.
        worth: what is worth it.
    """
    ordered = sorted(files, key=lambda file: (file.first_us, file.written_ms, file.path))
    for divisor in (64, 8, 2):
        for run in _runs(ordered, worth.target_bytes // divisor):
            if group := _group(run, worth):
                return group
    return []


def _runs(files: Sequence[DataFile], bound: int) -> Iterator[list[DataFile]]:
    run: list[DataFile] = []
    for file in files:
        if file.size < bound:
            run.append(file)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _group(run: Sequence[DataFile], worth: Worth) -> list[DataFile]:
    sizes = accumulate(file.size for file in run[: worth.most])
    group = [file for file, size in zip(run, sizes, strict=False) if size <= worth.target_bytes]
    whole = sum(file.size for file in group)
    if len(group) < 2:
        return []
    if whole >= worth.target_bytes // 2:
        return group
    largest = max(range(len(group)), key=lambda place: group[place].size)
    if group[largest].size > worth.largest_share * whole:
        return _group(run[:largest], worth) or _group(run[largest + 1 :], worth)
    return group if len(group) >= worth.fewest else []
