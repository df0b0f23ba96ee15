"""The files of a spool: numbered segments of records, each valid up to its first damaged record."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bronze.record import Position, Record, decode, length_needed

_SUFFIX = ".seg"


@dataclass(frozen=True)
class Segment:
    """A whole segment as recovery left it.

    Args:
        number: its place in the order.
        size: length of its valid records.
        dropped_bytes: what was cut off behind them.
    """

    number: int
    size: int
    dropped_bytes: int


def segment_path(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:012d}{_SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """The numbers of the segments there are, in order."""
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal())


def recover(folder: Path, number: int, start: int, visit: Callable[[Position, Record], None]) -> Segment:
    """Show every valid record from an offset on, and cut the file after the last of them.

    Args:
        folder: of the spool.
        number: of the segment.
        start: where to begin; what is before it has been acknowledged.
        visit: called with the place and the record.
    """
    path = segment_path(folder, number)
    data = path.read_bytes()
    offset = min(start, len(data))
    while (found := decode(data, offset)) is not None:
        record, after = found
        visit(Position(number, offset), record)
        offset = after
    if offset < len(data):
        os.truncate(path, offset)
    return Segment(number, offset, len(data) - offset)


class SegmentReader:
    """Reads records out of segments, by place; one segment file is open at a time.

    Args:
        folder: of the spool.
        chunk_bytes: how much is read at once.
    """

    def __init__(self, folder: Path, chunk_bytes: int = 262_144) -> None:
        self._folder = folder
        self._chunk_bytes = chunk_bytes
        self._number = -1
        self._descriptor = -1

    def read(self, position: Position, size: int) -> list[tuple[Position, Position, Record]]:
        """Read records from a place on: at least one, and no more than about a chunk.

        Args:
            position: the place of a record.
            size: length of the segment's valid part.

        Returns:
            of each record its place, the place after it, and itself.

        Raises:
            OSError: the file cannot be read, or the record there is damaged.
        """
        self._open(position.segment)
        wanted = min(self._chunk_bytes, size - position.offset)
        data = os.pread(self._descriptor, wanted, position.offset)
        needed = length_needed(data, 0)
        if needed > len(data):
            data = os.pread(self._descriptor, needed, position.offset)
        records: list[tuple[Position, Position, Record]] = []
        at = 0
        while (found := decode(data, at)) is not None:
            record, after = found
            here, there = (Position(position.segment, position.offset + n) for n in (at, after))
            records.append((here, there, record))
            at = after
        if not records:
            raise OSError(f"damaged record at byte {position.offset} of {segment_path(self._folder, position.segment)}")
        return records

    def close(self) -> None:
        """Close the open file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._number = self._descriptor = -1

    def _open(self, number: int) -> None:
        if number == self._number:
            return
        self.close()
        self._descriptor = os.open(segment_path(self._folder, number), os.O_RDONLY)
        self._number = number
