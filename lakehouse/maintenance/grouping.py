"""Which files of a table are made one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate


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


def next_group(files: Sequence[DataFile], target_bytes: int, fewest: int, most: int) -> list[DataFile]:
    """Choose neighbours that become one file; empty when there is nothing to gain.

    Only files that lie side by side in the order of time are made one, so that the bounds of times stay narrow. Small
    ones come first, and one is rewritten about once for every step of its growth: from the size of a batch to a 64th,
    an 8th and half of the target, where it is left alone.

    Args:
        files: all but those that are too new, in any order.
        target_bytes: the size to reach.
        fewest: fewer files are not worth it, unless they fill half of the target.
        most: files at once.
    """
    ordered = sorted(files, key=lambda file: (file.first_us, file.written_ms, file.path))
    for divisor in (64, 8, 2):
        for run in _runs(ordered, target_bytes // divisor):
            group = _first(run[:most], target_bytes)
            if len(group) > 1 and (len(group) >= fewest or sum(file.size for file in group) >= target_bytes // 2):
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


def _first(run: Sequence[DataFile], target_bytes: int) -> list[DataFile]:
    sizes = accumulate(file.size for file in run)
    return [file for file, size in zip(run, sizes, strict=True) if size <= target_bytes]
