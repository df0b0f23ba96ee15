"""Spool and publisher for a job that ends: a tape, a backfill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bronze.publisher import Publisher
from bronze.record import Position, Record
from bronze.spool import Spool, SpoolFullError, spool_folder
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings


class Outbox:
    """Takes records, and waits until Kafka has all of them.

    Args:
        spool: where they go first.
        publisher: carries them to Kafka; started.
        stall_s: without an acknowledgement for this long it gives up.
    """

    def __init__(self, spool: Spool, publisher: Publisher, stall_s: float) -> None:
        self._spool = spool
        self._publisher = publisher
        self._stall_s = stall_s

    def put(self, record: Record) -> None:
        """Append a record, waiting for room.

        Raises:
            CryptolakeError: Kafka takes nothing.
        """
        try:
            self._spool.append(record)
        except SpoolFullError:
            self._wait_until(self._spool.has_room)
            self._spool.append(record)

    def flush(self) -> None:
        """Wait until Kafka has everything.

        Raises:
            CryptolakeError: Kafka takes nothing; what is left goes out with the next run.
        """
        self._wait_until(self._spool.all_acked)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        moved: tuple[Position, float] = (self._spool.acked, time.monotonic())
        while not done():
            if self._spool.acked != moved[0]:
                moved = (self._spool.acked, time.monotonic())
            if self._publisher.error is not None or time.monotonic() - moved[1] > self._stall_s:
                why = self._publisher.error or f"no acknowledgement for {self._stall_s:g} s"
                raise CryptolakeError(
                    f"Kafka does not take the records ({why})", "They stay in the spool; start again once it is up."
                )
            time.sleep(0.02)


@contextmanager
def outbox(settings: Settings, bootstrap_servers: str, name: str) -> Iterator[Outbox]:
    """Open an outbox with a spool of its own; what an earlier run left in it goes out first.

    Args:
        settings: the whole tree.
        bootstrap_servers: the brokers.
        name: of the spool.

    Raises:
        SpoolInUseError: another process has this spool.
    """
    with Spool(spool_folder(settings, name), settings.spool) as spool:
        publisher = Publisher(spool, settings, bootstrap_servers)
        publisher.start()
        try:
            yield Outbox(spool, publisher, settings.collector.publish_stall_s)
        finally:
            publisher.close()
