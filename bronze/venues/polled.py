"""What the file of a source that is polled must offer; its line in `bronze/venues/__init__.py` makes it known."""

from __future__ import annotations

import threading
from typing import Protocol

from bronze.rest import RestClient
from lakehouse.settings import Settings


class Poll(Protocol):
    """One question that is asked again and again; its answers are frames of one channel."""

    @property
    def venue(self) -> str:
        """The market."""
        ...

    @property
    def channel(self) -> str:
        """With the venue it names the topic."""
        ...

    @property
    def key(self) -> str:
        """Kafka message key."""
        ...

    @property
    def interval_s(self) -> float:
        """Time between two answers."""
        ...

    def ask(self, rest: RestClient) -> bytes:
        """Ask once.

        Returns:
            the body, unchanged.

        Raises:
            RestError: there was none.
        """
        ...

    def doubt(self, body: bytes) -> str:
        """Why a body is not what was asked for, at a glance; empty when it may be. Silver judges it in any case."""
        ...


class PolledSource(Protocol):
    """One source of answers."""

    @property
    def source(self) -> str:
        """The name `collect` takes."""
        ...

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """Where it is; all on loopback, or none."""
        ...

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Say what is wrong with the settings.

        Raises:
            CryptolakeError: the source would not serve us.
        """
        ...

    def client(self, settings: Settings, stop: threading.Event) -> RestClient:
        """The connection that all polls share."""
        ...

    def polls(self, settings: Settings) -> tuple[Poll, ...]:
        """What to ask."""
        ...


def looks_like(body: bytes, opening: bytes) -> str:
    """Say what a body is instead of a JSON value that opens like this; empty when it opens so."""
    start = body[:200].lstrip()
    return (
        ""
        if start.startswith(opening)
        else f"not what was asked for: {' '.join(start.decode(errors='replace').split())}"
    )
