"""One source's collector: what brings its frames, spool and publisher in one process."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from typing import Any, Protocol

from bronze.files import write_atomically
from bronze.poller import Poller
from bronze.publisher import Publisher
from bronze.spool import Spool, spool_folder
from bronze.streams import Streams
from bronze.venues import POLLED, source_of, venue_of
from lakehouse.errors import CryptolakeError
from lakehouse.home import claim_home, kind_of
from lakehouse.settings import Settings

log = logging.getLogger(__name__)
_LOOK_S = 0.25


class Intake(Protocol):
    """What brings the frames of a source into the spool, in threads of its own."""

    @property
    def error(self) -> BaseException | None:
        """What it failed with for good."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def end(self) -> None:
        """Take nothing more from the venue; within some seconds all that came is in the spool."""
        ...

    def status(self) -> dict[str, Any]:
        """What there is to tell of it: connected, frames, last_frame_at_us, reconnects, problem and more."""
        ...


def collect(source: str, settings: Settings, bootstrap_servers: str, stop: threading.Event) -> None:
    """Collect a source until `stop` is set; then end within 10 s, with everything received in the spool or in Kafka.

    Args:
        source: a name of `bronze.venues`.
        settings: the whole tree.
        bootstrap_servers: the brokers; they may be down.
        stop: set it to end.

    Raises:
        CryptolakeError: an unknown source, a feed that no longer exists, a home of the other kind, a second collector
            for the source in this home, or a failure that a new start may mend.
    """
    known = source_of(source)
    known.refuse_dead_feed(settings)
    claim_home(settings, kind_of(known.urls(settings)))
    with Spool(spool_folder(settings, source), settings.spool) as spool:
        polled = POLLED.get(source)
        intake: Intake
        intake = Poller(polled, spool, settings) if polled else Streams(venue_of(source), spool, settings)
        Collector(source, intake, spool, settings, bootstrap_servers).run(stop)


class Collector:
    """Runs what brings a source's frames, and carries them on.

    Args:
        source: its name.
        intake: brings the frames; not started.
        spool: where they go first.
        settings: the whole tree.
        bootstrap_servers: where they go then.
    """

    def __init__(self, source: str, intake: Intake, spool: Spool, settings: Settings, bootstrap_servers: str) -> None:
        self._source = source
        self._intake = intake
        self._spool = spool
        self._settings = settings
        self._publisher = Publisher(spool, settings, bootstrap_servers)

    def run(self, stop: threading.Event) -> None:
        """Collect until told to stop.

        Raises:
            CryptolakeError: a part of it failed for good.
        """
        status = _Status(self._source, self._settings)
        self._publisher.start()
        self._intake.start()
        try:
            while not stop.wait(_LOOK_S):
                status.write_when_due(self._status)
                error = self._publisher.error or self._intake.error
                if error is not None:
                    raise CryptolakeError(f"The collector of {self._source} failed ({error})") from error
        finally:
            self._end()
            status.remove()

    def _end(self) -> None:
        """The venue first, then what it brought; what the broker does not take in time stays in the spool."""
        self._intake.end()
        collector = self._settings.collector
        if not self._publisher.drain(collector.drain_timeout_s, collector.drain_patience_s):
            log.warning("the broker did not take everything in time; the rest stays in the spool")
        self._publisher.close()

    def _status(self) -> dict[str, Any]:
        return self._intake.status() | {"spool_bytes": self._spool.size_bytes, "unacked": self._publisher.unacked}


class _Status:
    """`<home>/run/collector-<source>.json`, for the console and `doctor`."""

    def __init__(self, source: str, settings: Settings) -> None:
        folder = settings.home.resolve() / "run"
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"collector-{source}.json"
        self._interval_s = settings.collector.status_interval_s
        self._written_at = float("-inf")
        self._frames = 0

    def write_when_due(self, status: Any) -> None:
        now = time.monotonic()
        passed_s = now - self._written_at
        if passed_s < self._interval_s:
            return
        facts: dict[str, Any] = status()
        rate = (facts["frames"] - self._frames) / passed_s if passed_s != float("inf") else 0.0
        self._written_at, self._frames = now, facts["frames"]
        content = {"pid": os.getpid(), **facts, "frames_per_s": round(rate, 1), "written_at_us": time.time_ns() // 1000}
        try:
            write_atomically(self._path, json.dumps(content).encode(), durable=False)
        except OSError as error:
            log.warning("%s not written (%s)", self._path, error)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
