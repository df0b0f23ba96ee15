"""The write-ahead spool between a venue's socket and Kafka: what is in it survives kill -9 until Kafka has it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from bronze.coverage import Coverage
from bronze.lease import Lease
from bronze.record import Position, Record, encode
from bronze.segment_writer import SegmentWriter
from bronze.segments import SegmentReader, recover, segment_numbers, segment_path
from bronze.state_file import StateFile
from lakehouse.errors import CryptolakeError, SettingsError
from lakehouse.faults import fault_point
from lakehouse.settings import Settings, SpoolSettings

log = logging.getLogger(__name__)
T = TypeVar("T")


class SpoolFullError(CryptolakeError):
    """The spool has no room: whoever reads a socket closes it until there is."""


class SpoolClosedError(CryptolakeError):
    """The spool is closed or broken and takes nothing more."""


def spool_folder(settings: Settings, name: str) -> Path:
    """The folder of one source's spool."""
    return settings.home.resolve() / "spool" / name


class Spool:
    """Append-only segment files, a CRC per record, one fsync for all records of some milliseconds, bounded in bytes.

    One process has it (a lease by flock). Records are read in order by one reader, and deleted by whole segments once
    acknowledged. `state.json` keeps the acknowledged position and the coverage of ids up to a position that has been
    fsynced: after a crash the records behind that position are added again.

    Args:
        folder: of this spool; made when it is not there.
        settings: sizes and times.

    Raises:
        SpoolInUseError: another process has it.
        SettingsError: fewer than four segments fit.
    """

    def __init__(self, folder: Path, settings: SpoolSettings) -> None:
        if settings.segment_bytes * 4 > settings.max_bytes:
            raise SettingsError("spool.segment_bytes is above a quarter of spool.max_bytes", "Mend conf/.")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._settings = settings
        self._lease = Lease(folder)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._failure: OSError | None = None
        self._dirty = False
        self._reader = SegmentReader(folder)
        self._state_file = StateFile(folder)
        self._acked, self._covered, self._coverage = self._state_file.load()
        self._sizes: dict[int, int] = {}
        self._saved: tuple[Position, Position] | None = None
        try:
            self._recover()
        except BaseException:
            self._lease.release()
            raise
        self._keeper = threading.Thread(target=self._keep, name=f"spool-{folder.name}", daemon=True)
        self._keeper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing -----------------------------------------------------------------------------------------------

    def append(self, record: Record, *, urgent: bool = False) -> Position:
        """Write a record; from here on kill -9 does not lose it, and from the next fsync on no power cut.

        Args:
            record: the record.
            urgent: a marker of a loss, which may use the reserve.

        Returns:
            the place after it.

        Raises:
            SpoolFullError: no room, by the settings or on the disk.
            SpoolClosedError: it was closed, or the disk failed.
        """
        data = encode(record)
        with self._lock:
            if self._failure is not None or self._stopping.is_set():
                raise SpoolClosedError(f"The spool {self._folder} is closed ({self._failure or 'stopping'})")
            limit = self._settings.max_bytes + (self._settings.reserve_bytes if urgent else 0)
            if self._bytes + len(data) > limit:
                raise SpoolFullError(f"The spool {self._folder} is full ({self._bytes} bytes)", "Is the broker up?")
            try:
                self._writer.write(data)
            except OSError as error:
                self._failure = self._writer.failure
                raise SpoolFullError(f"The spool {self._folder} cannot be written: {error.strerror}") from error
            end = self._writer.end
            self._sizes[end.segment] = end.offset
            self._bytes += len(data)
            self._dirty = True
            self._coverage.add(record)
        fault_point("collector_after_spool")
        return end

    def append_when_room(self, record: Record, stop: threading.Event) -> bool:
        """Append, waiting while the spool is full; return whether it was done before `stop`."""
        while not stop.is_set():
            try:
                self.append(record)
                return True
            except SpoolFullError:
                while not (self.has_room() or stop.wait(0.05)):
                    pass
        return False

    def has_room(self) -> bool:
        """Whether enough is free to begin taking records again after it was full."""
        with self._lock:
            return self._bytes < self._settings.resume_share * self._settings.max_bytes

    # --- reading and acknowledging (one reader) ----------------------------------------------------------------

    def read(self, position: Position) -> list[tuple[Position, Position, Record]]:
        """Read some records from a place on: (place, place after it, record); empty when there are none yet."""
        with self._lock:
            place = self._normalised(position)
            size = self._sizes.get(place.segment, 0)
        if place.offset >= size:
            return []
        return self._reader.read(place, size)

    @property
    def end(self) -> Position:
        """The place after the last record."""
        return self._writer.end

    def acknowledge(self, position: Position) -> None:
        """Note that Kafka has every record before this place."""
        with self._lock:
            self._acked = max(self._acked, position)

    @property
    def acked(self) -> Position:
        """The place before which Kafka has everything."""
        return self._acked

    @property
    def size_bytes(self) -> int:
        """Length of all segments."""
        return self._bytes

    def all_acked(self) -> bool:
        """Whether Kafka has everything."""
        with self._lock:
            place = self._normalised(self._acked)
            return place.offset >= self._sizes.get(place.segment, 0)

    # --- what is in our hands ----------------------------------------------------------------------------------

    def ask(self, question: Callable[[Coverage], T]) -> T:
        """Answer a question about the ids held, with no record added meanwhile."""
        with self._lock:
            return question(self._coverage)

    # --- keeping -----------------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Fsync, write state.json, and delete the segments that Kafka has."""
        with self._lock:
            acked, covered, coverage = self._acked, self._writer.end, self._coverage.state()
        if (acked, covered) == self._saved:
            return
        self._sync()
        try:
            self._state_file.save(acked, covered, coverage)
            self._saved = (acked, covered)
            self._trim(acked)
            self._state_file.load_ballast()
        except OSError as error:
            # The old state and all segments stay: more than needed, never less.
            log.warning("spool %s: state not written (%s)", self._folder.name, error)
        fault_point("collector_after_trim")

    def close(self) -> None:
        """Write down everything and let another process have it; unacknowledged records stay."""
        if self._stopping.is_set():
            return
        with self._lock:
            self._stopping.set()
        self._keeper.join()
        try:
            if self._failure is None:
                self.checkpoint()
        except OSError as error:
            log.error("spool %s: the last records may not be on the disk (%s)", self._folder.name, error)
        self._writer.close()
        self._reader.close()
        self._lease.release()

    def _recover(self) -> None:
        numbers = segment_numbers(self._folder)

        def visit(position: Position, record: Record) -> None:
            if position >= self._covered:
                self._coverage.add(record)

        for number in numbers:
            if number < self._acked.segment:
                segment_path(self._folder, number).unlink()
                continue
            start = self._acked.offset if number == self._acked.segment else 0
            segment = recover(self._folder, number, start, visit)
            self._sizes[number] = segment.size
            if segment.dropped_bytes:
                log.warning("spool %s: %d bytes after the last whole record of segment %d dropped",
                            self._folder.name, segment.dropped_bytes, number)  # fmt: skip
        # A segment of its own for each run: no place is ever used twice, whatever a power cut took away.
        newest = max([*numbers, self._acked.segment, self._covered.segment])
        self._writer = SegmentWriter(self._folder, newest + 1, self._settings.segment_bytes)
        self._bytes = sum(self._sizes.values())
        self._state_file.load_ballast()

    def _normalised(self, position: Position) -> Position:
        """The same place, in the next segment when it is at the end of one that takes no more."""
        while position.segment < self._writer.end.segment and position.offset >= self._sizes.get(position.segment, 0):
            position = Position(min(n for n in [*self._sizes, self._writer.end.segment] if n > position.segment), 0)
        return position

    def _trim(self, acked: Position) -> None:
        with self._lock:
            keep = self._normalised(acked).segment
            done = [number for number in self._sizes if number < keep]
        for number in done:
            segment_path(self._folder, number).unlink(missing_ok=True)
        with self._lock:
            self._bytes -= sum(self._sizes.pop(number) for number in done)

    def _keep(self) -> None:
        next_checkpoint = time.monotonic() + self._settings.checkpoint_interval_s
        while not self._stopping.wait(self._settings.fsync_interval_ms / 1000):
            try:
                if time.monotonic() >= next_checkpoint or self._waits_for_trimming():
                    self.checkpoint()
                    next_checkpoint = time.monotonic() + self._settings.checkpoint_interval_s
                elif self._dirty:
                    self._sync()
            except OSError as error:
                log.exception("spool %s: the disk failed", self._folder.name)
                self._failure = error
                return

    def _waits_for_trimming(self) -> bool:
        return self._saved is not None and self._acked.segment > self._saved[0].segment and not self.has_room()

    def _sync(self) -> None:
        with self._lock:
            self._dirty = False
            descriptor = self._writer.duplicate()
        if descriptor < 0:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
