"""The running market: ticks that draw trades, write them to the ledger, and only then send them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lakehouse.errors import CryptolakeError
from lakehouse.faults import fault_point
from lakehouse.settings import SimulatorSettings
from simulator.bybit import VENUE_PREFIX as BYBIT_PREFIX
from simulator.bybit import BybitVenue, Fill, ledger_fills
from simulator.catalogue import CATALOGUE, RANK, Symbol
from simulator.clock import MarketClock
from simulator.coincap import EXCHANGES, VENUE_PREFIX
from simulator.connections import Connections
from simulator.faults import Faults
from simulator.history import History, LiveTrades
from simulator.journal import BINANCE, Journal, Records
from simulator.live import LiveFlow
from simulator.past import Past
from simulator.paths import Paths, Purpose, generator
from simulator.refusals import Refusals
from simulator.state import SymbolState, read_state, write_atomically
from simulator.trades import Floats, Ints
from simulator.venues import BinanceVenue, CoincapVenue

_REMEMBERED_BYTES = 1 << 23  # of the ledger, for the newest trades of Bybit after a restart
_LONGEST_TICK_S = 1.0  # after a pause of the machine trades go on at their rate, they do not come all at once


class Market:
    """The market of one home.

    A symbol goes live when its first client subscribes; until then its trades are the past's, made from the seed. Live
    trades happen whether or not anyone is connected, and go on at once after a restart.

    Args:
        settings: of the simulator.
        folder: `<home>/simulator`, for state and store.
        ledger: where every live trade is written before it is sent.
    """

    def __init__(self, settings: SimulatorSettings, folder: Path, ledger: Path) -> None:
        self.settings = settings
        self._state_path = folder / "state.json"
        self._state = read_state(self._state_path, settings.seed, settings.market)
        self._journal = Journal(ledger, folder / "trades.bin")
        records = self._recover()
        self.clock = MarketClock(settings.start_back_s, settings.speed, self._state.clock_us)
        self.symbols = {symbol.name: symbol for symbol in CATALOGUE[: settings.symbols]}
        self._paths = Paths(settings.seed, settings.market)
        self._past = Past(settings.seed, settings.market, self._paths)
        self._live = LiveTrades(records)
        self.history = History(
            self._past, self._live, self._state.binance, self.clock.now_us, settings.limits.history_horizon_trades
        )
        self.connections = Connections(settings.limits.buffered_bytes)
        self._began_us = self.clock.now_us()
        self.faults = Faults(settings.faults, self._random("faults", Purpose.FAULTS))
        self.refusals = Refusals()
        self._flow = LiveFlow(settings.market, self._paths, self._random(BINANCE))
        self._venues: dict[str, BinanceVenue | BybitVenue | CoincapVenue] = {
            BINANCE: BinanceVenue(self._flow, self._state.binance)
        }
        self._flow_count = self._random("counts")
        self._resume()
        self._advanced = time.monotonic(), self.clock.now_us()

    def go_live(self, names: Iterable[str]) -> None:
        """Let Binance symbols trade from now on; those that do already, or are not listed, are left alone."""
        new = [self.symbols[name] for name in names if name in self.symbols and name not in self._state.binance]
        if not new:
            return
        now_us = self.clock.now_us() // 1_000 * 1_000 + 1_000  # what the past has shown by now stays
        for symbol in new:
            next_id = self._past.next_id(symbol, now_us)
            self._state.binance[symbol.name] = SymbolState(live_since_us=now_us, first_live_id=next_id, next_id=next_id)
        self._flow.add(new, now_us)
        self.save()

    def go_live_coincap(self, name: str) -> None:
        """Let an exchange on CoinCap trade from now on, if it does not already."""
        exchange = EXCHANGES[name]
        if exchange.venue in self._venues:
            return
        random = self._random(exchange.venue)
        flow = self._flow_of(exchange.venue, random)
        flow.add(exchange.market(tuple(self.symbols.values())), self.clock.now_us())
        running = self._state.coincap.setdefault(exchange.venue, 0)
        missing = self.settings.coincap_price_usd_missing_share
        self._venues[exchange.venue] = CoincapVenue(exchange, flow, random, missing, running)
        self.save()

    def go_live_bybit(self, category: str, names: Iterable[str]) -> None:
        """Let symbols of a Bybit category trade from now on; those that do already are left alone."""
        name = f"{BYBIT_PREFIX}{category}"
        venue = self._venues.get(name)
        if not isinstance(venue, BybitVenue):
            random, running = self._random(name), self._state.bybit.get(name, 0)
            venue = BybitVenue(category, self._flow_of(name, random), random, self.settings.seed, running)
            self._venues[name] = venue
        venue.go_live([self.symbols[each] for each in names if each in self.symbols], self.clock.now_us())
        self.save()

    def recent_bybit(self, category: str, name: str, limit: int) -> list[Fill]:
        """Give the newest trades of a symbol of a Bybit category, the newest first."""
        venue = self._venues.get(f"{BYBIT_PREFIX}{category}")
        return venue.recent(name, limit) if isinstance(venue, BybitVenue) else []

    async def run(self) -> None:
        """Tick until cancelled."""
        saved = time.monotonic()
        while True:
            await asyncio.sleep(self.settings.tick_ms / 1_000)
            self.advance()
            if time.monotonic() - saved >= self.settings.state_interval_s:
                self.save()
                saved = time.monotonic()

    def advance(self) -> int:
        """Let everything happen that has by now; give the time: no trade of an earlier millisecond comes after it."""
        now, now_us = time.monotonic(), self.clock.now_us()
        before, before_us = self._advanced
        self._advanced = now, now_us
        self.tick(min(now - before, _LONGEST_TICK_S), before_us, now_us)
        return now_us

    def tick(self, elapsed_s: float, after_us: int, until_us: int) -> None:
        """Make, write and send the trades of one tick, and commit the faults that are due."""
        groups = []
        for name, venue in self._venues.items():
            rate = self._rate_per_s(name)
            count = int(self._flow_count.poisson(rate * elapsed_s))
            groups.append(venue.make(count, after_us, until_us, self.faults, self.connections.silent_streams(name)))
        lines = [line for group in groups for line in group.lines]
        if lines:
            records = groups[0].records  # Binance comes first, so its offsets count from the group's start
            self._journal.append(b"".join(lines), records)
            self._live.append(records)
            fault_point("simulator_ledger_written")
        for group in groups:
            self.connections.send(group.venue, self.faults.sequence(group.venue, group.messages, group.faults))
        self.connections.counts["trades"] += len(lines)
        if (kind := self.faults.cut_is_due()) is not None:
            self.cut(kind)
        if self.faults.stall_is_due():
            self.stall(self.faults.settings.stall_s)

    def cut(self, kind: str, source: str | None = None) -> int:
        """Cut the connections of one source (`binance`, `bybit`, `coincap`, a venue) or all; give how many."""
        self._release()
        return self.connections.cut(kind, source)

    def stall(self, seconds: float, source: str | None = None) -> int:
        """Let the connections open now fall silent; give how many."""
        self._release()
        self.faults.count("stall")
        return self.connections.stall(seconds, source)

    def _release(self) -> None:
        for venue in self._venues:
            self.connections.send(venue, self.faults.release(venue))

    def log_mid(self, symbol: Symbol, time_us: Ints) -> Floats:
        """Give the log of the middle price, in the quote asset, at some times."""
        return self._paths.log_mid(symbol, time_us)

    def next_ids(self) -> dict[str, int]:
        """Give the id that the next trade of each live symbol will have."""
        return {name: state.next_id for name, state in self._state.binance.items()}

    def coincap_numbers(self) -> dict[str, int]:
        """Give the running number of the last trade of each live CoinCap venue."""
        return {venue.venue: venue.running for venue in self._venues.values() if isinstance(venue, CoincapVenue)}

    def bybit_numbers(self) -> dict[str, int]:
        """Give the running number of the last trade of each live Bybit category."""
        return {venue.venue: venue.running for venue in self._venues.values() if isinstance(venue, BybitVenue)}

    def save(self) -> None:
        """Write state.json."""
        self._state.clock_us = self.clock.now_us()
        self._state.ledger_bytes = self._journal.ledger_bytes
        self._state.coincap.update(self.coincap_numbers())
        self._state.bybit.update(self.bybit_numbers())
        for venue in self._venues.values():
            if isinstance(venue, BybitVenue):
                self._state.bybit_symbols[venue.venue] = venue.live_symbols()
        write_atomically(self._state_path, self._state.model_dump(mode="json"))

    def close(self) -> None:
        """Write the state and close the files."""
        self.save()
        self._journal.close()

    def _random(self, name: str, purpose: Purpose = Purpose.LIVE) -> np.random.Generator:
        # a restart goes on with other numbers than the run before
        return generator(self.settings.seed, name, purpose, self._began_us)

    def _recover(self) -> Records:
        if self._journal.ledger_bytes and not self._state_path.exists():
            raise CryptolakeError(
                "The ledger already holds trades and this home did not write them", "Give another --ledger."
            )
        records, lines = self._journal.recover(self._state.ledger_bytes)
        last_us = int(records["time_us"].max()) if len(records) else 0
        for line in lines:
            last_us = max(last_us, int(line.fields["event_time_us"]))
            if (venue := line.fields["venue"]) != BINANCE:
                running = self._state.bybit if venue.startswith(BYBIT_PREFIX) else self._state.coincap
                running[venue] = int(line.fields["n"])
        self._state.clock_us = max(self._state.clock_us, last_us)
        for name, state in self._state.binance.items():
            ids = records["id"][records["symbol"] == RANK[name]]
            state.next_id = int(ids[-1]) + 1 if len(ids) else state.first_live_id
        return records

    def _resume(self) -> None:
        live = [self.symbols[name] for name in self._state.binance if name in self.symbols]
        if live:
            self._flow.add(live, self.clock.now_us())
        for venue in list(self._state.coincap):
            self.go_live_coincap(venue.removeprefix(VENUE_PREFIX))
        self._resume_bybit()
        self.save()

    def _resume_bybit(self) -> None:
        if not self._state.bybit_symbols:
            return
        told = ledger_fills(self._journal.tail(_REMEMBERED_BYTES))
        for name, symbols in list(self._state.bybit_symbols.items()):
            self.go_live_bybit(name.removeprefix(BYBIT_PREFIX), symbols)
            venue = self._venues[name]
            if isinstance(venue, BybitVenue):
                venue.remember(told[name])

    def _flow_of(self, venue: str, random: np.random.Generator) -> LiveFlow:
        """Make the flow of a venue beside Binance, with its constant offset of prices."""
        basis = float(generator(self.settings.seed, venue, Purpose.LIVE, 0).standard_normal())
        return LiveFlow(self.settings.market, self._paths, random, self.settings.market.venue_basis_bp * 1e-4 * basis)

    def _rate_per_s(self, venue: str) -> float:
        if venue == BINANCE:
            return self.settings.rate_per_s
        return self.settings.bybit_rate_per_s if venue.startswith(BYBIT_PREFIX) else self.settings.coincap_rate_per_s
