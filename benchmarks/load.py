"""A market to measure with: seeded Binance trades in the order in which they reach a collector, with what goes wrong.

Every trade has a time at the venue and a time at which it reaches us, which is when it is to be sent: most at once,
some out of order, some late. Copies of trades and frames that are no trade come on top. Prices and quantities are whole
numbers, in units of 1e-8, so that what must come of them can be worked out exactly (`benchmarks.oracle`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simulator.malformed import KINDS, unlike_any_trade

UNITS = 10**8
MICROS = 1_000_000
TOPIC = "binance.trade"
CHUNK = 100_000
_VALUES, _FAULTS = 0, 1
_CORRUPT = tuple(KINDS.values())

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way, as shares of the trades.

    Args:
        duplicate: sent once more, up to 5 s later.
        malformed: frames beside the trades that are none.
        out_of_order: 20 ms to 2 s behind their time.
        late: 10 to 60 s behind it, when their minute may be closed.
    """

    duplicate: float = 0.01
    malformed: float = 0.005
    out_of_order: float = 0.02
    late: float = 0.001


class Sent(NamedTuple):
    """One frame as a collector would publish it; `at_us` is when it is to be sent (UTC, us)."""

    at_us: int
    key: str
    payload: bytes


@dataclass(frozen=True)
class Load:
    """A stretch of a market.

    Args:
        trades: how many there are.
        symbols: how many share them, by Zipf's law.
        rate_per_s: trades in a second of the venue's time.
        first_us: the venue's time of the first one (UTC, us).
        seed: of all that is drawn.
        after: how many trades came before, in stretches of the same seed: the ids go on where theirs ended.
        faults: what goes wrong.
    """

    trades: int
    symbols: int = 400
    rate_per_s: float = 1_000
    first_us: int = 1_767_225_600 * MICROS
    seed: int = 7
    after: int = 0
    faults: Faults = field(default_factory=Faults)

    @property
    def end_us(self) -> int:
        """When it is over (UTC, us): what is delayed arrives until then."""
        return self.first_us + int(self.trades * MICROS / self.rate_per_s)

    def then(self, trades: int) -> Load:
        """The stretch that follows."""
        return replace(self, trades=trades, first_us=self.end_us, after=self.after + self.trades)

    def ledger(self) -> Iterator[pa.Table]:
        """Every trade once: symbol, trade_id, price and quantity in units of 1e-8, event_ms, buyer_is_maker."""
        names = pa.array(self.names())
        for trades in _Trades(self):
            columns = {name: pa.array(getattr(trades, name)) for name in _LEDGER}
            yield pa.table({"symbol": names.take(pa.array(trades.symbol)), **columns})

    def names(self) -> list[str]:
        """The symbols, as silver calls them."""
        return [f"{_base(number)}-USDT" for number in range(self.symbols)]

    def frames(self) -> Iterator[list[Sent]]:
        """All frames in the order in which they reach us, in lists of bounded size."""
        chance = self.chance(_FAULTS)
        waiting: list[Sent] = []
        period_us = MICROS / self.rate_per_s
        for chunk, trades in enumerate(_Trades(self)):
            waiting += self._sent(trades, chance)
            waiting.sort(key=lambda sent: sent.at_us)
            until_us = self.first_us + int((chunk + 1) * CHUNK * period_us)
            ready = next((i for i, sent in enumerate(waiting) if sent.at_us >= until_us), len(waiting))
            yield waiting[:ready]
            waiting = waiting[ready:]
        yield waiting

    def counts(self) -> dict[str, int]:
        """How many frames there are, by what is wrong with them."""
        found = {"trades": self.trades, "duplicates": 0, "malformed": 0}
        chance = self.chance(_FAULTS)
        for trades in _Trades(self):
            drawn = _Drawn.of(len(trades.trade_id), self.faults, chance)
            found["duplicates"] += len(drawn.copied)
            found["malformed"] += len(drawn.beside)
        return found | {"frames": sum(found.values())}

    def chance(self, of_what: int) -> np.random.Generator:
        """What some part of this stretch is drawn with."""
        return np.random.default_rng((self.seed, self.after, of_what))

    def _sent(self, trades: _Chunk, chance: np.random.Generator) -> list[Sent]:
        drawn = _Drawn.of(len(trades.trade_id), self.faults, chance)
        at_us = np.minimum(trades.event_us + drawn.delay_us, self.end_us)
        frames = list(map(_frame, at_us.tolist(), *(getattr(trades, name).tolist() for name in _FRAME)))
        copies = zip(drawn.copied.tolist(), drawn.copy_delay_us.tolist(), strict=True)
        bad = zip(drawn.beside.tolist(), drawn.kinds.tolist(), strict=True)
        return [
            *frames,
            *(frames[place]._replace(at_us=min(frames[place].at_us + delay, self.end_us)) for place, delay in copies),
            *(_corrupted(frames[place], kind) for place, kind in bad),
        ]


class _Chunk(NamedTuple):
    symbol: Ints
    trade_id: Ints
    price: Ints
    quantity: Ints
    event_us: Ints
    event_ms: Ints
    buyer_is_maker: npt.NDArray[np.bool_]


_LEDGER = ("trade_id", "price", "quantity", "event_ms", "buyer_is_maker")
_FRAME = ("symbol", *_LEDGER)


class _Trades:
    """The trades of a load, drawn in chunks, the same ones every time."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def __iter__(self) -> Iterator[_Chunk]:
        load = self._load
        chance = load.chance(_VALUES)
        # What a coin is worth is the same in every stretch.
        worth = 10 ** np.random.default_rng(load.symbols).uniform(-3, 4.7, load.symbols)
        next_id = np.ones(load.symbols, np.int64)
        for place, symbol in self._symbols():
            size = len(symbol)
            ids = next_id[symbol] + _occurrence(symbol)
            next_id += np.bincount(symbol, minlength=load.symbols)
            if place < 0:
                continue
            price = np.rint(worth[symbol] * (1 + chance.normal(0, 0.001, size)) * 10**5).astype(np.int64) * 1_000
            dollars = chance.lognormal(5, 1.2, size)
            quantity = np.maximum(1, np.rint(dollars / price * UNITS * UNITS)).astype(np.int64)
            times = np.arange(place, place + size) * (MICROS / load.rate_per_s)
            event_us = load.first_us + np.floor(times).astype(np.int64)
            yield _Chunk(symbol, ids, price, quantity, event_us, event_us // 1_000, chance.random(size) < 0.5)

    def _symbols(self) -> Iterator[tuple[int, Ints]]:
        """Whose the trades are, with the place of the first of them: below 0 in stretches that came before."""
        load = self._load
        chance = np.random.default_rng(load.seed)
        weights = 1 / np.arange(1, load.symbols + 1)
        ends = np.cumsum(weights / weights.sum())
        for first, last in ((-load.after, 0), (0, load.trades)):
            for place in range(first, last, CHUNK):
                drawn = np.searchsorted(ends, chance.random(min(CHUNK, last - place)))
                yield place, np.minimum(drawn, load.symbols - 1).astype(np.int64)


@dataclass(frozen=True)
class _Drawn:
    """What goes wrong with the trades of a chunk: delays of each, and which are copied or have a bad frame beside."""

    delay_us: Ints
    copied: Ints
    copy_delay_us: Ints
    beside: Ints
    kinds: Ints

    @classmethod
    def of(cls, size: int, faults: Faults, chance: np.random.Generator) -> _Drawn:
        def some(share: float) -> Ints:
            return np.flatnonzero(chance.random(size) < share).astype(np.int64)

        delay_us = np.zeros(size, np.int64)
        for share, least_s, most_s in ((faults.out_of_order, 0.02, 2), (faults.late, 10, 60)):
            places = some(share)
            delay_us[places] = (chance.uniform(least_s, most_s, len(places)) * MICROS).astype(np.int64)
        copied, beside = some(faults.duplicate), some(faults.malformed)
        copy_delay_us = (chance.uniform(0, 5, len(copied)) * MICROS).astype(np.int64)
        return cls(delay_us, copied, copy_delay_us, beside, chance.integers(0, len(_CORRUPT), len(beside)))


def _occurrence(values: Ints) -> Ints:
    """How often each value has come before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(values)])
    before = np.empty(len(values), np.int64)
    before[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return before


def _base(number: int) -> str:
    return f"S{number:04d}"


def _frame(
    at_us: int, symbol: int, trade_id: int, price: int, quantity: int, event_ms: int, buyer_is_maker: bool
) -> Sent:
    name = _base(symbol)
    payload = (
        f'{{"e":"trade","E":{event_ms + 1},"s":"{name}USDT","t":{trade_id},'
        f'"p":"{price // UNITS}.{price % UNITS:08d}","q":"{quantity // UNITS}.{quantity % UNITS:08d}",'
        f'"T":{event_ms},"m":{"true" if buyer_is_maker else "false"},"M":true}}'
    )
    return Sent(at_us, name, payload.encode())


def _corrupted(frame: Sent, kind: int) -> Sent:
    return frame._replace(payload=_CORRUPT[kind](unlike_any_trade(frame.payload)))
