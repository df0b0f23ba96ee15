"""The live trades of each venue, from the draw to the ledger's lines and the frames that go out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from simulator.catalogue import RANK, Symbol
from simulator.coincap import Exchange, slugs, trade_frame
from simulator.faults import STALLED, Faults
from simulator.journal import BINANCE, RECORD, Records
from simulator.live import Drawn, LiveFlow
from simulator.state import SymbolState
from simulator.trades import wire_text
from simulator.wire import Outgoing, binance_trade, ledger_line

_US_A_MS = 1_000


@dataclass
class Group:
    """One venue's trades of one tick.

    Args:
        venue: e.g. `binance`.
        lines: of the ledger.
        records: for the store, their `ledger_end` counted from the first line; none for CoinCap.
        messages: what goes out, before drops, copies and delays.
        faults: of each message.
    """

    venue: str
    lines: list[bytes] = field(default_factory=list)
    records: Records = field(default_factory=lambda: np.zeros(0, dtype=RECORD))
    messages: list[Outgoing] = field(default_factory=list)
    faults: list[str | None] = field(default_factory=list)


class BinanceVenue:
    """Binance spot: contiguous ids a symbol.

    Args:
        flow: draws the trades; its symbols are the live ones.
        states: live symbols by name, kept up to date here.
    """

    venue = BINANCE

    def __init__(self, flow: LiveFlow, states: dict[str, SymbolState]) -> None:
        self._flow = flow
        self._states = states

    def make(self, count: int, after_us: int, until_us: int, faults: Faults, silent: set[str]) -> Group:
        """Make a tick's trades; `silent` streams reach nobody."""
        group = Group(self.venue)
        if not count or not self._flow.symbols:
            return group
        drawn = self._flow.draw(count, after_us, until_us)
        chosen = faults.of_trades(count, resent=True, refilled=True)
        group.records = self._records(drawn)
        end = 0
        ends = np.empty(count, dtype=np.int64)
        rows = zip(*(group.records[name].tolist() for name in ("id", "time_us", "ticks", "lots", "buy")), strict=True)
        for row, (place, (trade_id, time_us, ticks, lots, buy)) in enumerate(
            zip(drawn.place.tolist(), rows, strict=True)
        ):
            symbol: Symbol = self._flow.symbols[place]
            fault = STALLED if chosen[row] is None and symbol.stream in silent else chosen[row]
            price = wire_text(ticks, symbol.price_decimals)
            quantity = wire_text(lots, symbol.quantity_decimals)
            line = ledger_line(BINANCE, symbol.name, trade_id, price, quantity, bool(buy), time_us, fault)
            end += len(line)
            ends[row] = end
            sent_us = max(until_us // _US_A_MS * _US_A_MS, time_us)
            body, body_us = (
                binance_trade(symbol.name, trade_id, price, quantity, time_us // unit, sent_us // unit, bool(buy))
                for unit in (_US_A_MS, 1)
            )
            group.lines.append(line)
            group.messages.append(Outgoing(symbol.stream, body, body_us))
            group.faults.append(fault)
            self._states[symbol.name].last_price = price
        group.records["ledger_end"] = ends
        return group

    def _records(self, drawn: Drawn) -> Records:
        records = np.zeros(len(drawn), dtype=RECORD)
        ids = np.empty(len(drawn), dtype=np.int64)
        for place in np.unique(drawn.place).tolist():
            rows = np.flatnonzero(drawn.place == place)
            state = self._states[self._flow.symbols[place].name]
            ids[rows] = np.arange(state.next_id, state.next_id + len(rows))
            state.next_id += len(rows)
        ranks = np.array([RANK[symbol.name] for symbol in self._flow.symbols])
        records["symbol"], records["id"], records["buy"] = ranks[drawn.place], ids, drawn.buy
        records["time_us"], records["ticks"], records["lots"] = drawn.time_us, drawn.ticks, drawn.lots
        return records


class CoincapVenue:
    """One exchange on CoinCap: no ids, so nothing is dropped or doubled on purpose.

    Args:
        exchange: which.
        flow: draws the trades.
        random: decides which frames lack `priceUsd`.
        usd_missing_share: how many do.
        running: number of its last trade.
    """

    def __init__(
        self,
        exchange: Exchange,
        flow: LiveFlow,
        random: np.random.Generator,
        usd_missing_share: float,
        running: int,
    ) -> None:
        self._exchange = exchange
        self._flow = flow
        self._random = random
        self._usd_missing_share = usd_missing_share
        self.running = running
        self.venue = exchange.venue

    def make(self, count: int, after_us: int, until_us: int, faults: Faults, silent: set[str]) -> Group:
        """Make a tick's trades; `silent` streams reach nobody."""
        group = Group(self.venue)
        if not count or not self._flow.symbols:
            return group
        exchange = self._exchange
        drawn = self._flow.draw(count, after_us, until_us)
        chosen = faults.of_trades(count, resent=False, refilled=False)
        with_usd = self._random.random(count) >= self._usd_missing_share
        columns = (drawn.place, drawn.time_us, drawn.ticks, drawn.lots, drawn.buy, with_usd)
        for row, (place, time_us, ticks, lots, buy, usd) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            symbol = self._flow.symbols[place]
            fault = STALLED if chosen[row] is None and exchange.name in silent else chosen[row]
            stamped_us = time_us // exchange.resolution_us * exchange.resolution_us
            log_quote = self._log_quote(symbol, time_us) if usd else None
            body, price, volume = trade_frame(exchange, symbol, ticks, lots, buy, stamped_us, log_quote)
            self.running += 1
            name = "/".join(slugs(exchange, symbol))
            group.lines.append(ledger_line(self.venue, name, None, price, volume, buy, stamped_us, fault, self.running))
            group.messages.append(Outgoing(exchange.name, body, body))
            group.faults.append(fault)
        return group

    def _log_quote(self, symbol: Symbol, time_us: int) -> float:
        if symbol.quote != "USDT":
            return self._flow.log_quote_usdt(symbol, time_us)
        return math.log1p(2e-4)
