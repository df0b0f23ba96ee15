"""Random trades of every size, equal to whole numbers to the last digit; what does not fit is quarantined by name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from bars_oracle import EXACT, half_up
from bronze_frames import time_of
from deltalake import DeltaTable
from experiments import Experiment

from bronze.tables import FRAMES
from lakehouse.arrow import contract_schema
from lakehouse.lake import Lake
from lakehouse.table import Table
from silver.aggregate import Aggregate
from silver.refine import Refine
from silver.tables import ONE_MINUTE_BARS, QUARANTINE, TRADES
from silver.tables import TABLES as SILVER

pytestmark = pytest.mark.usefixtures("compiled")
START_MS = 1_723_161_600_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "SHIBUSDT")
MINUTES_A_CHUNK = 40
BLOCK = 50  # one frame of so many is refused
MAX_AMOUNT = 10**32  # in 1e-20
ABSURD = ("1" * 1_000, "0." + "0" * 400 + "1", "1e999", "-1", "0", "1e-13", "NaN", "0x10", "1_000", "٣")


@dataclass
class Said:
    """One trade as whole numbers: price in 1e-12, quantity in 1e-8."""

    symbol: str
    trade_id: int
    price: int
    quantity: int
    ms: int
    sold: bool


@dataclass
class Minute:
    """A bar in whole numbers."""

    first: tuple[int, int, int] = (2**63, 0, 0)
    last: tuple[int, int, int] = (-1, 0, 0)
    high: int = 0
    low: int = 10**30
    volume: int = 0
    bought: int = 0
    amount: int = 0
    prices: int = 0
    count: int = 0

    def add(self, trade: Said) -> None:
        place = (trade.ms, trade.trade_id, trade.price)
        self.first, self.last = min(self.first, place), max(self.last, place)
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.volume += trade.quantity
        self.bought += 0 if trade.sold else trade.quantity
        self.amount += trade.price * trade.quantity
        self.prices += trade.price
        self.count += 1

    def values(self) -> dict[str, Any]:
        vwap = Fraction(half_up(Fraction(self.amount, 10**12 * self.volume), 24))
        scaled = {"open": self.first[2], "high": self.high, "low": self.low, "close": self.last[2]}
        return {
            **{name: decimal(value, 12) for name, value in scaled.items()},
            **{"volume": decimal(self.volume, 8), "buy_volume": decimal(self.bought, 8)},
            **{"amount": decimal(self.amount, 20), "price_sum": decimal(self.prices, 12)},
            "average_price": half_up(Fraction(self.prices, 10**12 * self.count), 16),
            "vwap": half_up(vwap, 16),
            "trade_count": self.count,
        }


@dataclass
class Chunk:
    """What one chunk says: good trades, and frames that must be refused, with a reason, by their offset."""

    payloads: list[bytes] = field(default_factory=list)
    good: dict[tuple[str, int], Said] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


def decimal(units: int, places: int) -> Decimal:
    return EXACT.scaleb(Decimal(units), -places)


def text_of(units: int, places: int, chance: random.Random) -> str:
    """Plain digits, with or without the zeros at the end."""
    whole, part = divmod(units, 10**places)
    digits = f"{part:0{places}d}"
    digits = digits if chance.random() < 0.5 else digits.rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def chunk_of(seed: int, number: int, size: int) -> Chunk:
    """Trades of a chunk; the same seed and number give the same again, so that none of them need be kept.

    Ids rise by one in each symbol; the one frame in a block that must be refused takes none.
    """
    chance = random.Random(f"{seed}/{number}")  # noqa: S311
    chunk = Chunk()
    good = number * size // BLOCK * (BLOCK - 1)
    for place in range(size):
        if place % BLOCK == 0:
            refused = place + chance.randrange(BLOCK)
        said = drawn(chance, number, good)
        texts = text_of(said.price, 12, chance), text_of(said.quantity, 8, chance)
        if place == refused:
            *texts, chunk.refused[number * size + place] = damaged(chance, *texts)
        else:
            chunk.good[said.symbol, said.trade_id] = said
            good += 1
        chunk.payloads.append(payload(said, *texts))
    return chunk


def drawn(chance: random.Random, number: int, place: int) -> Said:
    """A trade of a chunk: of any size, and at one of few moments a minute, so that many share one."""
    price = chance.randrange(1, 10 ** chance.randrange(1, 25))
    most = min(10**24 - 1, max(1, MAX_AMOUNT // price))
    quantity = chance.randrange(1, min(most, 10 ** chance.randrange(1, 25)) + 1)
    minute = number * MINUTES_A_CHUNK + chance.randrange(MINUTES_A_CHUNK)
    ms = START_MS + minute * 60_000 + chance.choice((0, 1, 500, 30_000, 59_998, 59_999))
    symbol, trade_id = SYMBOLS[place % len(SYMBOLS)], place // len(SYMBOLS)
    return Said(symbol, trade_id, price, quantity, ms, chance.random() < 0.5)


def damaged(chance: random.Random, price: str, quantity: str) -> tuple[str, str, str]:
    """Texts that do not fit, and the reason that must be among those given."""
    kind = chance.randrange(5)
    if kind == 0:
        return f"1.{chance.randrange(1, 10**9):09d}{chance.randrange(1, 10**9):09d}", quantity, "precision_exceeded"
    if kind == 1:
        return price, f"3.{chance.randrange(1, 10**9):09d}", "precision_exceeded"
    if kind == 2:
        return str(10 ** chance.randrange(12, 40)), quantity, "precision_exceeded"
    if kind == 3:
        return f"{10**11 + chance.randrange(10**11)}.5", f"{11 + chance.randrange(10**9)}.25", "amount_overflow"
    return chance.choice(ABSURD), quantity, ""  # some reason


def payload(said: Said, price: str, quantity: str) -> bytes:
    sold = "true" if said.sold else "false"
    return (
        f'{{"e":"trade","E":{said.ms},"s":"{said.symbol}","t":{said.trade_id},"p":"{price}","q":"{quantity}",'
        f'"T":{said.ms},"m":{sold},"M":true}}'
    ).encode()


def frames_of(number: int, size: int, chunk: Chunk) -> pa.Table:
    schema = contract_schema(FRAMES)
    received = [time_of((START_MS + (number + 1) * MINUTES_A_CHUNK * 60_000) * 1000)] * size
    numbers = range(number * size, (number + 1) * size)
    same = {"topic_id": "T", "topic": "binance.trade", "partition": 0, "venue": "binance", "channel": "trade"}
    same |= {"key": "k", "session_id": "S", "origin": "stream"}
    columns: dict[str, Any] = {name: [value] * size for name, value in same.items()}
    columns |= {"offset": numbers, "sequence": numbers, "payload": chunk.payloads}
    columns |= dict.fromkeys(("received_at", "kafka_time", "ingested_at"), received)
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema)


def rows_between(
    lake: Lake, table: Table, column: str, low: int, high: int, names: list[str]
) -> Iterator[dict[str, Any]]:
    found = DeltaTable(str(lake.path(table)))
    rows = found.to_pyarrow_table(columns=[column, *names], filters=[(column, ">=", low), (column, "<", high)])
    yield from rows.to_pylist()


@pytest.mark.experiment(
    27,
    fault="trades of up to 12 decimals of price and 8 of quantity, from 1e-20 to 1e12, many at one moment; one in fifty"
    " with more digits, an overflow or an absurd size",
    holds="I5: every trade and every bar equals whole numbers to the last digit, in memory and by Spark; what does not"
    " fit is in quarantine with its reason; no batch died of it",
)
@pytest.mark.timeout(1500)
def test_every_digit_of_a_million_trades(lake: Lake, experiment: Experiment) -> None:
    chunks, size = experiment.times((2, 3_000), (20, 50_000))
    lake.create(FRAMES, *SILVER)
    ways = [Refine(deciding(lake, few_frames=frames)) for frames in (size, 0)]  # in memory, by Spark
    aggregate = Aggregate(lake)
    minutes: dict[tuple[str, int], Minute] = {}
    for number in range(chunks):
        chunk = chunk_of(experiment.seed, number, size)
        version = lake.append_rows(FRAMES, frames_of(number, size, chunk))
        assert version is not None
        refined = ways[number % 2].run(lake.read_changes(FRAMES, version - 1, version), version)
        assert refined.counts["trades"] == len(chunk.good)
        assert refined.counts["quarantined"] == len(chunk.refused)
        assert refined.trades_version is not None
        aggregate.run(refined.trades, refined.trades_version)
        refined.release()
        for said in chunk.good.values():
            minutes.setdefault((said.symbol, said.ms // 60_000), Minute()).add(said)
        experiment.done(size)
    aggregate.close_all()
    held = 0
    for number in range(chunks):
        chunk = chunk_of(experiment.seed, number, size)
        held += len(chunk.good)
        ids = [trade_id for _, trade_id in chunk.good]
        for row in rows_between(lake, TRADES, "trade_id", min(ids), max(ids) + 1, ["symbol", "price", "quantity"]):
            said = chunk.good.pop((row["symbol"].replace("-", ""), row["trade_id"]), None)
            if said is not None:  # the ids at its ends are of its neighbours as well
                assert (row["price"], row["quantity"]) == (decimal(said.price, 12), decimal(said.quantity, 8)), said
        assert chunk.good == {}
        for row in rows_between(lake, QUARANTINE, "offset", number * size, (number + 1) * size, ["reasons"]):
            reason = chunk.refused.pop(row["offset"])
            assert reason in row["reasons"] if reason else row["reasons"], row
        assert chunk.refused == {}
    assert DeltaTable(str(lake.path(TRADES))).to_pyarrow_dataset().count_rows() == held
    bars = DeltaTable(str(lake.path(ONE_MINUTE_BARS))).to_pyarrow_table().to_pylist()
    assert len(bars) == len(minutes)
    for bar in bars:
        wanted = minutes.pop((bar["symbol"].replace("-", ""), int(bar["minute"].timestamp()) // 60)).values()
        assert {name: bar[name] for name in wanted} == wanted
    experiment.note(f"{len(bars):,} bars")


def deciding(lake: Lake, few_frames: int) -> Lake:
    """The same tables, with another idea of how many frames are few."""
    limits = lake.settings.lake.model_copy(
        update={"few_frames": few_frames, "few_bytes": 2**30, "strict_frames": few_frames}
    )
    return Lake(lake.spark, lake.settings.model_copy(update={"lake": limits}))
