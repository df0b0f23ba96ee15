"""Faults on demand, seeded: which trades are dropped, doubled or late, and when connections are cut or fall silent."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from lakehouse.settings import SimulatorFaultSettings
from simulator.malformed import KINDS, unlike_any_trade
from simulator.wire import Outgoing

DROPPED, DUPLICATED, REORDERED, STALLED = "dropped", "duplicated", "reordered", "stalled"
_LATEST_S = 1.0  # a reordered trade of a symbol that trades no more is sent after this


@dataclass(frozen=True)
class Late:
    """A message held back until the next one of its stream has gone out."""

    message: Outgoing
    since: float


class Faults:
    """Draws faults; `settings` may be replaced at any time.

    Args:
        settings: shares and intervals.
        random: the faults' own random stream.
    """

    def __init__(self, settings: SimulatorFaultSettings, random: np.random.Generator) -> None:
        self._random = random
        self._late: dict[str, dict[str, Late]] = {}  # by venue, then stream
        self.committed: dict[str, int] = {}
        self.extra_malformed = 0  # asked for now, sent with the next trades
        self.rest_failures = 0  # REST requests still to be answered with 503
        self.too_many_visits = 0  # Bybit REST requests still to be answered with 10006
        self.deaf_until = 0.0  # monotonic time until which no websocket upgrade is answered
        self.change(settings)

    def change(self, settings: SimulatorFaultSettings) -> None:
        """Take new shares and intervals, from now on."""
        self.settings = settings
        now = time.monotonic()
        self._next_cut = self._after(now, settings.cut_every_s)
        self._next_stall = self._after(now, settings.stall_every_s)

    def of_trades(self, count: int, *, resent: bool, refilled: bool) -> list[str | None]:
        """Draw the fault of each of `count` messages.

        Args:
            count: how many.
            resent: whether a copy can be told from a trade, so that some are sent twice.
            refilled: whether a client can tell what it lacks and ask for it, so that some are never sent.
        """
        settings = self.settings
        shares = {REORDERED: settings.reorder_share}
        if refilled:
            shares[DROPPED] = settings.drop_share
        if resent:
            shares[DUPLICATED] = settings.duplicate_share
        if not any(shares.values()):
            return [None] * count
        bounds = np.cumsum(list(shares.values()))
        names: list[str | None] = [*shares, None]
        return [names[which] for which in np.searchsorted(bounds, self._random.random(count), side="right").tolist()]

    def sequence(self, venue: str, messages: list[Outgoing], faults: list[str | None]) -> list[Outgoing]:
        """Give what goes out in its order: a venue's messages with their faults, and extra malformed ones."""
        going: list[Outgoing] = []
        late = self._late.setdefault(venue, {})
        malformed = self._random.random(len(messages)) < self.settings.malformed_share
        for message, fault, extra in zip(messages, faults, malformed.tolist(), strict=True):
            self.count(fault)
            if fault == REORDERED and message.stream not in late:
                late[message.stream] = Late(message, time.monotonic())
                continue
            if fault != DROPPED:
                going.append(message)
            if fault == DUPLICATED:
                going.append(message)
            if message.stream in late and fault != DROPPED:
                going.append(late.pop(message.stream).message)
            if extra or self.extra_malformed:
                self.extra_malformed -= 0 if extra else 1
                going.append(self.malformed(message))
        return going + _overdue(late)

    def release(self, venue: str) -> list[Outgoing]:
        """Give what is held back of a venue, as before a cut."""
        return [late.message for late in self._late.pop(venue, {}).values()]

    def malformed(self, like: Outgoing) -> Outgoing:
        """Make an extra frame that is no trade, from one that is."""
        name = list(KINDS)[int(self._random.integers(len(KINDS)))]
        self.count("malformed")
        body = KINDS[name](unlike_any_trade(like.body))
        return Outgoing(like.stream, body, body)

    def cut_is_due(self) -> str | None:
        """Say whether connections are to be cut now, and how: `fin` or `abort`."""
        if time.monotonic() < self._next_cut:
            return None
        self._next_cut = self._after(time.monotonic(), self.settings.cut_every_s)
        return self.cut_kind()

    def cut_kind(self) -> str:
        """Give the configured kind of cut, drawn when that is `random`."""
        kind = self.settings.cut_kind
        return str(self._random.choice(["fin", "abort"])) if kind == "random" else kind

    def stall_is_due(self) -> bool:
        """Say whether connections are to fall silent now."""
        if time.monotonic() < self._next_stall:
            return False
        self._next_stall = self._after(time.monotonic(), self.settings.stall_every_s)
        return True

    def count(self, fault: str | None) -> None:
        """Count a fault that was committed."""
        if fault is not None:
            self.committed[fault] = self.committed.get(fault, 0) + 1

    def _after(self, now: float, every_s: float) -> float:
        return now + every_s * self._random.uniform(0.5, 1.5) if every_s else float("inf")


def _overdue(late: dict[str, Late]) -> list[Outgoing]:
    now = time.monotonic()
    streams = [stream for stream, each in late.items() if now - each.since > _LATEST_S]
    return [late.pop(stream).message for stream in streams]
