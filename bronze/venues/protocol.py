"""What the file of a venue that streams must offer; its line in `bronze/venues/__init__.py` makes it known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pydantic import SecretStr

from bronze.record import NO_ID
from lakehouse.settings import Settings

TRADE, KLINE, GAP, CONTROL, OVERSIZE = "trade", "kline", "gap", "control", "oversize"
TRADE_DUMP = "trade_dump"  # lines of a file, not JSON
TICKER, PRICE = "ticker", "price"
# What shows that a connection lives.
DATA_CHANNELS = frozenset({TRADE, PRICE})


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """One stream group: one connection at a time, two while it is rotated where the venue allows that.

    Args:
        venue: the market whose frames come, e.g. coincap-bitso.
        url: all of it.
        subscriptions: messages to send once connected.
        secret: the end of the URL that nobody may read, e.g. `&apiKey=...`.
        when_refused: what a user may look at when the venue does not let us in.
    """

    venue: str
    url: str
    subscriptions: tuple[str, ...] = ()
    secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    when_refused: str = ""

    def redacted(self, text: str) -> str:
        """A text without the secret."""
        secret = self.secret.get_secret_value()
        for part in (secret, secret.rpartition("=")[2]):
            text = text.replace(part, "***") if part else text
        return text


@dataclass(frozen=True, slots=True)
class Envelope:
    """What can be said of a frame without parsing it in full.

    Args:
        venue: the market.
        channel: trade or price, or control for what is no data.
        key: stream or symbol.
        symbol: whose ids the frame holds; empty when it holds none that silver would accept.
        first_id: the first id held.
        last_id: the last id held.
        event_time_us: the venue's time, where there are no ids.
        rotate: the venue asks us to connect anew.
        refused: the venue says that it will not serve us: its words.
    """

    venue: str
    channel: str
    key: str
    symbol: str = ""
    first_id: int = NO_ID
    last_id: int = NO_ID
    event_time_us: int = 0
    rotate: bool = False
    refused: str = ""


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
