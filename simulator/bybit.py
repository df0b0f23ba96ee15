"""Bybit v5 public trades: frames of a tick's fills, keys and order as on spot and linear, and the newest for REST."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.catalogue import Symbol
from simulator.faults import STALLED, Faults
from simulator.live import LiveFlow
from simulator.trades import decimal_text
from simulator.venues import Group
from simulator.wire import Outgoing, compact

VENUE_PREFIX = "bybit-"
TOPIC = "publicTrade."
CATEGORIES = ("spot", "linear")
RECENT = {"spot": 60, "linear": 1_000}  # trades that REST reaches
LARGEST_FRAME = 1_024
_FIRST_SPOT_KEY = 2_290_000_000_000_000_000
_KEY_STEP = 7  # so that keys do not rise by one
_FIRST_SEQUENCE = 753_000_000_000
_SAME_MATCH = 0.5  # chance that a fill belongs to the match of the one before it, when both are of one side


@dataclass(frozen=True)
class Fill:
    """One trade as it is written on the wire; times in microseconds."""

    symbol: str
    key: str
    sequence: int
    price: str
    quantity: str
    buy: bool
    time_us: int
    tick: str
    block: bool
    retail: bool

    def streamed(self, *, linear: bool) -> dict[str, Any]:
        """As in a frame of the stream; the two categories order their keys differently."""
        time, side = self.time_us // 1_000, "Buy" if self.buy else "Sell"
        if linear:
            return {
                "T": time, "s": self.symbol, "S": side, "v": self.quantity, "p": self.price, "L": self.tick,
                "i": self.key, "BT": self.block, "RPI": self.retail, "seq": self.sequence,
            }  # fmt: skip
        return {
            "i": self.key, "T": time, "p": self.price, "v": self.quantity, "S": side, "seq": self.sequence,
            "s": self.symbol, "BT": self.block, "RPI": self.retail,
        }  # fmt: skip

    def listed(self) -> dict[str, Any]:
        """As in the body of recent-trade."""
        return {
            "execId": self.key, "symbol": self.symbol, "price": self.price, "size": self.quantity,
            "side": "Buy" if self.buy else "Sell", "time": str(self.time_us // 1_000), "isBlockTrade": self.block,
            "isRPITrade": self.retail, "seq": str(self.sequence),
        }  # fmt: skip

    def ledger_line(self, venue: str, running: int, fault: str | None) -> bytes:
        """As in the ledger; `n` is the running number of the venue."""
        line = {
            "venue": venue, "symbol": self.symbol, "id": self.key, "n": running, "seq": self.sequence,
            "price": self.price, "quantity": self.quantity, "side": "buy" if self.buy else "sell",
            "event_time_us": self.time_us, "block": self.block, "retail": self.retail, "fault": fault,
        }  # fmt: skip
        return compact(line) + b"\n"


class BybitVenue:
    """One category: keys that do not rise by one, an order that never falls, frames of up to 1,024 fills.

    Args:
        category: spot or linear.
        flow: draws the trades; its symbols are the live ones.
        random: decides which fills are of one match, and which are block or retail trades.
        seed: of the market; the keys of linear follow from it.
        running: number of its last trade.
    """

    def __init__(self, category: str, flow: LiveFlow, random: np.random.Generator, seed: int, running: int) -> None:
        self.venue = VENUE_PREFIX + category
        self.running = running
        self._linear = category == "linear"
        self._flow = flow
        self._random = random
        self._seed = seed
        self._newest: dict[str, deque[Fill]] = {}
        self._reach = RECENT[category]

    def go_live(self, symbols: Iterable[Symbol], now_us: int) -> None:
        """Let more symbols trade; those that do already are left alone."""
        new = [symbol for symbol in symbols if symbol not in self._flow.symbols]
        if new:
            self._flow.add(new, -(-now_us // 1_000) * 1_000)

    def live_symbols(self) -> list[str]:
        """Give the names of those that trade."""
        return [symbol.name for symbol in self._flow.symbols]

    def recent(self, symbol: str, limit: int) -> list[Fill]:
        """Give the newest trades of a symbol, the newest first."""
        return list(reversed(self._newest.get(symbol, ())))[:limit]

    def remember(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take up the trades of ledger lines of an earlier run."""
        for line in lines:
            self._keep(
                Fill(
                    line["symbol"],
                    line["id"],
                    line["seq"],
                    line["price"],
                    line["quantity"],
                    line["side"] == "buy",
                    line["event_time_us"],
                    "ZeroPlusTick",
                    line["block"],
                    line["retail"],
                )
            )

    def make(self, count: int, after_us: int, until_us: int, faults: Faults, silent: set[str]) -> Group:
        """Make a tick's trades, a frame a symbol; `silent` topics reach nobody."""
        group = Group(self.venue)
        if not count or not self._flow.symbols:
            return group
        by_symbol: dict[str, list[Fill]] = {}
        for fill in self._fills(count, after_us, until_us):
            by_symbol.setdefault(fill.symbol, []).append(fill)
        frames = [
            (f"{TOPIC}{name}", fills[at : at + LARGEST_FRAME])
            for name, fills in by_symbol.items()
            for at in range(0, len(fills), LARGEST_FRAME)
        ]
        for (topic, fills), chosen in zip(
            frames, faults.of_trades(len(frames), resent=True, refilled=False), strict=True
        ):
            fault = STALLED if chosen is None and topic in silent else chosen
            body = self._frame(topic, fills, until_us)
            group.messages.append(Outgoing(topic, body, body))
            group.faults.append(fault)
            for fill in fills:
                self.running += 1
                group.lines.append(fill.ledger_line(self.venue, self.running, fault))
                self._keep(fill)
        return group

    def _fills(self, count: int, after_us: int, until_us: int) -> Iterator[Fill]:
        drawn = self._flow.draw(count, after_us, until_us)
        columns = (drawn.place, drawn.time_us, drawn.ticks, drawn.lots, drawn.buy)
        chances = self._random.random((3, count))
        before: dict[int, Fill] = {}
        rows = zip(*(column.tolist() for column in columns), *chances.tolist(), strict=True)
        for row, (place, time_us, ticks, lots, buy, match, block, retail) in enumerate(rows):
            symbol, last, number = self._flow.symbols[place], before.get(place), self.running + row + 1
            together = last is not None and last.buy == buy and match < _SAME_MATCH
            price = decimal_text(ticks, symbol.price_decimals)
            before[place] = fill = Fill(
                symbol.name,
                self._key(number),
                last.sequence if last is not None and together else _FIRST_SEQUENCE + number,
                price,
                decimal_text(lots, symbol.quantity_decimals),
                buy,
                last.time_us if last is not None and together else time_us,
                "PlusTick" if buy else "MinusTick",
                block < 0.001,
                retail < 0.02,
            )
            yield fill

    def _key(self, number: int) -> str:
        if not self._linear:
            return str(_FIRST_SPOT_KEY + number * _KEY_STEP + number * number % _KEY_STEP)
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._seed}/{number}"))

    def _frame(self, topic: str, fills: list[Fill], until_us: int) -> bytes:
        data = [fill.streamed(linear=self._linear) for fill in fills]
        sent_ms = max(until_us, fills[-1].time_us) // 1_000
        if self._linear:
            return compact({"topic": topic, "type": "snapshot", "ts": sent_ms, "data": data})
        return compact({"topic": topic, "ts": sent_ms, "type": "snapshot", "data": data})

    def _keep(self, fill: Fill) -> None:
        self._newest.setdefault(fill.symbol, deque(maxlen=self._reach)).append(fill)


def ledger_fills(lines: Iterable[bytes]) -> dict[str, list[dict[str, Any]]]:
    """Sort whole ledger lines of Bybit by venue."""
    found: dict[str, list[dict[str, Any]]] = {VENUE_PREFIX + category: [] for category in CATEGORIES}
    for line in lines:
        if line.startswith(b'{"venue":"bybit-') and line.endswith(b"}"):
            fields = json.loads(line)
            found[fields["venue"]].append(fields)
    return found
