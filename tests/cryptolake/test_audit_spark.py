"""What Spark's steps made of good, damaged and repeated frames passes the audit."""

from __future__ import annotations

import random

import pytest
from lake_by_hand import START_US, HandLake, binance_frame, candle
from test_audit_judge import damaged_frames

from bronze.tables import FRAMES
from bronze.tables import TABLES as BRONZE
from cryptolake.audit.run import audit
from lakehouse.lake import Lake
from silver.aggregate import Aggregate
from silver.refine import Refine
from silver.tables import TABLES as SILVER
from silver.tables import TRADES

SEED = 20241121


@pytest.mark.timeout(900)  # two dozen Spark jobs; seconds on an idle machine
def test_what_spark_made_of_any_frames_passes(lake: Lake) -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)  # noqa: S311
    lake.create(*BRONZE, *SILVER)
    hand = HandLake(lake.settings.home)
    for number, frame in enumerate(damaged_frames(draw, 600)):
        hand.frame(frame.payload, **_headers(frame._asdict()), sequence=number)
    for number in range(300):
        us = START_US + draw.randrange(600_000) * 1000
        price, quantity = f"{draw.uniform(0.0001, 70_000):.8f}", f"{draw.uniform(0.00001, 9):.5f}"
        side = draw.choice(["buy", "sell"])
        text = binance_frame(10_000 + number, price, quantity, us, side)
        hand.frame(text, sequence=10_000 + number)
        if number % 7 == 0:
            hand.frame(text, sequence=20_000 + number)  # a further copy
        if number % 50 == 0:
            hand.frame(binance_frame(10_000 + number, "1", quantity, us, side), sequence=30_000 + number)  # a conflict
        hand.coincap(price, quantity, us, side, session_id="C", sequence=number)
    hand.candles(*(candle(START_US + m * 60_000_000, "1.5", "2", "3.1", "4.5", m * 9) for m in range(-5, 5)))
    hand.append(FRAMES, hand.frames)
    Refine(lake).drain()
    aggregate = Aggregate(lake)
    aggregate.drain()
    aggregate.close_all()
    results = {result.name: result for result in audit(lake.settings, None)}
    failed = {name: result.examples for name, result in results.items() if not result.passed}
    assert failed == {}
    assert not [result.note for result in results.values() if "1 in flight" in result.note]
    assert results["silver.quarantine complete"].counted > 100
    assert results["silver.one_minute_bars values"].counted > 10
    assert results["silver.five_minute_bars values"].counted > 4
    assert results["silver.trades keys"].counted == lake.read(TRADES).count() > 600


def _headers(frame: dict[str, object]) -> dict[str, object]:
    received_us = frame.pop("received_us")
    del frame["payload"], frame["sequence"]
    frame["received_us"] = received_us if received_us is not None else START_US
    return {key: value for key, value in frame.items() if not (key in ("venue", "channel") and value is None)}
