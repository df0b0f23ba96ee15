"""What the file of a venue that streams must offer; its line in `bronze/venues/__init__.py` makes it known."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from bronze.record import NO_ID
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from bronze.spool import Spool

TRADE, KLINE, GAP, CONTROL, OVERSIZE = "trade", "kline", "gap", "control", "oversize"
TRADE_DUMP = "trade_dump"  # lines of a file, not JSON
TICKER, PRICE, SYMBOLS = "ticker", "price", "symbols"
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
        symbol: whose numbers the frame holds; empty when it holds none that silver would accept.
        first_id: the first number held: an id, or the venue's own order where ids do not rise by one.
        last_id: the last number held.
        event_time_us: the venue's time, where ids do not rise by one.
        rotate: the venue asks us to connect anew.
        refused: the venue says that it will not serve us: its words.
        complaint: what the venue says against one of our requests, while it goes on to serve the others.
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
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What we send to keep a connection alive.

    Args:
        interval_s: time between two.
        message: a text message; empty for a ping frame.
    """

    interval_s: float
    message: str = ""


class Beside(Protocol):
    """A thread beside the connections, which fetches what they do not bring into the same spool."""

    error: BaseException | None

    def start(self) -> None:
        """Begin."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, which the owner's `stop` asks for."""
        ...


class Refill(Beside, Protocol):
    """Brings back trades which the stream did not bring."""

    @property
    def fills(self) -> int:
        """How many pages it has brought."""
        ...

    def connection_opened(self, venue: str, reason: str) -> None:
        """A connection to a market was opened; `reason` says why the one before it ended."""
        ...

    def missing_ids(self) -> int | None:
        """How many ids are known to be missing; None where ids do not tell."""
        ...


class Venue(Protocol):
    """One source of frames."""

    @property
    def source(self) -> str:
        """The name `collect` and `replay` take."""
        ...

    @property
    def has_keys(self) -> bool:
        """Whether a resent trade can be told by its key: only then may two connections overlap."""
        ...

    def heartbeat(self, settings: Settings) -> Heartbeat | None:
        """What we send to keep a connection alive; None where the venue pings us."""
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

    def refill(self, spool: Spool, settings: Settings, stop: threading.Event) -> Refill | None:
        """Make what brings back missed trades; None where nothing does, and each lost connection is a gap."""
        ...

    def listing(self, spool: Spool, settings: Settings, stop: threading.Event) -> Beside | None:
        """Make what asks the venue what its symbols stand for; None where conf/symbols.yml alone says so."""
        ...

    def envelope(self, frame: bytes, venue: str | None) -> Envelope:
        """Look at a frame; one that cannot be understood is a trade frame without ids, for silver to judge.

        Args:
            frame: its bytes.
            venue: the market of the connection; None for a line of a tape.
        """
        ...
