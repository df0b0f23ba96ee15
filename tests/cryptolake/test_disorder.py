"""Trades shuffled, a day late, a week late: each is counted, in its own minute, and how late it was can be told."""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from bars_oracle import Trade
from experiments import Experiment
from pyspark.sql import SparkSession
from stream_lake import START, SYMBOLS, StreamLake, line_of, trade_of

from cryptolake.broker.local import LocalBroker
from lakehouse.settings import Settings
from silver.tables import TRADES

DAY, WEEK = timedelta(days=1), timedelta(days=7)
LATE_S = (60, 660, DAY.total_seconds(), WEEK.total_seconds())  # where the histogram of lateness is cut
SPAN = timedelta(minutes=40)


@pytest.fixture
def servers(settings: Settings) -> Iterator[str]:
    local = LocalBroker(settings)
    yield local.start()
    local.stop()


def drawn(chance: random.Random, number: int) -> list[tuple[Trade, datetime]]:
    """Trades and when they were received, in that order: up to ten minutes late, 1 % a day and 0.1 % a week."""
    made: list[tuple[datetime, datetime, str]] = []
    for _ in range(number):
        event = START + timedelta(milliseconds=chance.randrange(int(SPAN.total_seconds() * 1000)))
        late = timedelta(milliseconds=chance.randrange(600_000))
        received, place = event + late, chance.random()
        event -= WEEK if place < 0.001 else DAY if place < 0.011 else timedelta(0)
        made.append((event, received, chance.choice(SYMBOLS)))
    # Ids rise with the time of the trade, as the venue gives them.
    found = []
    ids: Counter[str] = Counter()
    for event, received, symbol in sorted(made):
        price = f"{chance.randrange(1, 10**5)}.{chance.randrange(10**6):06d}"
        found.append((trade_of(ids[symbol], event, price, symbol, chance.choice(("buy", "sell"))), received))
        ids[symbol] += 1
    return sorted(found, key=lambda pair: pair[1])


def bucket(event: datetime, received: datetime) -> int:
    return bisect(LATE_S, (received - event).total_seconds())


@pytest.mark.experiment(
    22,
    fault="trades shuffled within ten minutes, 1 % of them a day late and 0.1 % a week",
    holds="I1 I5 I6: every minute, five minutes and trend equals the oracle; lateness in silver equals what was made",
)
@pytest.mark.timeout(900)
def test_whatever_the_order_every_minute_counts_all_of_its_trades(
    spark: SparkSession, settings: Settings, servers: str, experiment: Experiment
) -> None:
    number, batches, runs = experiment.times((1_000, 2, 1), (20_000, 8, 2))
    limits = settings.lake.model_copy(update={"max_offsets_per_trigger": number // batches})
    world = StreamLake(spark, settings.model_copy(update={"lake": limits}), servers)
    said = drawn(experiment.chance, number)
    for run in range(runs):
        some = said[run * number // runs : (run + 1) * number // runs]
        world.publish(line_of(trade, received) for trade, received in some)
        world.run()
    world.assert_holds(trade for trade, _ in said)
    held = Counter(bucket(row["event_time"], row["received_at"]) for row in world.rows(TRADES))
    assert held == Counter(bucket(trade.event_time, received) for trade, received in said)
    experiment.done(number - held[0])
    experiment.note(f"{held[3]} trades a day late, {held[4]} a week")
