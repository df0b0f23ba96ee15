"""Appends records to the newest segment of a spool."""

from __future__ import annotations

import os
from pathlib import Path

from bronze.files import sync_folder
from bronze.record import Position
from bronze.segments import segment_path


class SegmentWriter:
    """The end of a spool; for one thread at a time.

    Args:
        folder: of the spool.
        number: of the first segment to write; it is made with the first record.
        segment_bytes: a record that would make a segment longer begins the next one.
    """

    def __init__(self, folder: Path, number: int, segment_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._descriptor = -1
        self.end = Position(number, 0)
        self.failure: OSError | None = None

    def write(self, data: bytes) -> None:
        """Append a record, all of it or nothing.

        Raises:
            OSError: it cannot be written; with `failure` set the spool must not be written any more.
        """
        try:
            if self._descriptor < 0 or self.end.offset + len(data) > self._segment_bytes > len(data):
                self._begin_segment()
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            self._undo_partial_write()
            raise
        self.end = Position(self.end.segment, self.end.offset + len(data))

    def duplicate(self) -> int:
        """A descriptor of the newest segment to fsync without holding up the writer; -1 when there is none."""
        return os.dup(self._descriptor) if self._descriptor >= 0 else -1

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _begin_segment(self) -> None:
        number = self.end.segment
        if self._descriptor >= 0:
            number += 1
            self._sync_last()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        descriptor = os.open(segment_path(self._folder, number), flags, 0o644)
        self.close()
        self._descriptor = descriptor
        self.end = Position(number, 0)
        sync_folder(self._folder)

    def _sync_last(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.failure = error
            raise

    def _undo_partial_write(self) -> None:
        if self._descriptor < 0:
            return
        try:
            os.ftruncate(self._descriptor, self.end.offset)
        except OSError as error:
            self.failure = error
