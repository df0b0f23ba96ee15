"""What a venue's file must offer; its one line in `bronze/venues/__init__.py` makes it known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bronze.record import NO_ID
from lakehouse.settings import Settings

TRADE, KLINE, GAP, CONTROL, OVERSIZE = "trade", "kline", "gap", "control", "oversize"
TRADE_DUMP = "trade_dump"  # lines of a file, not JSON


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """One stream group: one connection at a time, two while it is rotated where the venue allows that.

    Args:
        venue: the market whose frames come, e.g. coincap-bitso.
        url: all of it.
        subscriptions: messages to send once connected.
    """

    venue: str
    url: str
    subscriptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What can be said of a frame without parsing it in full.

    Args:
        venue: the market.
        channel: trade, or control for what is no data.
        key: stream or symbol.
        symbol: whose ids the frame holds; empty when it holds none that silver would accept.
        first_id: the first id held.
        last_id: the last id held.
        event_time_us: the venue's time, where there are no ids.
        rotate: the venue asks us to connect anew.
    """

    venue: str
    channel: str
    key: str
    symbol: str = ""
    first_id: int = NO_ID
    last_id: int = NO_ID
    event_time_us: int = 0
    rotate: bool = False


class Venue(Protocol):
    """One source of frames."""

    @property
    def source(self) -> str:
        """The name `collect` and `replay` take."""
        ...

    @property
    def has_ids(self) -> bool:
        """Whether trades have ids that rise by one: only then may two connections overlap and gaps be filled."""
        ...

    def ping_interval_s(self, settings: Settings) -> float | None:
        """Time between our own pings; None where the venue pings us."""
        ...

    def urls(self, settings: Settings) -> tuple[str, ...]:
        """Where it is; all on loopback, or none."""
        ...

    def refuse_dead_feed(self, settings: Settings) -> None:
        """Say what there is instead, where the real venue no longer sends trades.

        Raises:
            CryptolakeError: it does not.
        """
        ...

    def feeds(self, settings: Settings) -> tuple[FeedSpec, ...]:
        """The connections to hold."""
        ...

    def envelope(self, frame: bytes, venue: str | None) -> Envelope:
        """Look at a frame; one that cannot be understood is a trade frame without ids, for silver to judge.

        Args:
            frame: its bytes.
            venue: the market of the connection; None for a line of a tape.
        """
        ...
