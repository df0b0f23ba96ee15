"""The fast path and the strict parser agree: row by row on canonical frames, and on frames one letter beside them."""

from __future__ import annotations

import os
import random
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from bronze_frames import time_of
from corpus import mutations
from corpus.cases import CASES
from damage import beside
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from made_frames import RECEIVED_US, binance, coincap
from pyspark.sql import DataFrame, SparkSession

from bronze.tables import FRAMES
from silver.parse import parse_frame
from silver.rows import Frame, Trade
from silver.strict import KIND, parse_strictly
from silver.symbols import load_symbols
from silver.trades import canonical_trades, route_frames

pytestmark = pytest.mark.usefixtures("compiled")
SEED = int(os.environ.get("CRYPTOLAKE_TEST_SEED") or random.randrange(2**32))  # noqa: S311
FIELDS = (
    *("symbol", "base", "quote", "venue_symbol", "trade_key", "trade_id", "side", "price", "quantity", "event_time"),
    *("row", "rescued"),
)


def decimals(whole: int, fraction: int) -> st.SearchStrategy[str]:
    units = st.integers(min_value=1, max_value=10**6 - 1)
    return st.builds(lambda n, places: f"{Decimal(n).scaleb(-places):f}", units, st.integers(0, fraction))


price, quantity = decimals(12, 12), decimals(16, 8)
times = st.integers(min_value=1_230_768_000_000, max_value=RECEIVED_US // 1000 + 3_600_000)
booleans = st.sampled_from(["true", "false"])
names = st.builds(
    str.__add__,
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=10),
    st.sampled_from(load_symbols().binance_quotes),
)
slugs = st.sampled_from(sorted(load_symbols().coincap_assets))


@st.composite
def canonical(draw: st.DrawFn) -> Frame:
    sequence = draw(st.integers(0, 2**40))
    if draw(st.booleans()):
        moment = draw(times)
        time = moment * 1000 + 7 if draw(st.booleans()) and moment < RECEIVED_US // 1000 else moment
        data = (
            f'{{"e":"trade","E":{moment},"s":"{draw(names)}","t":{draw(st.integers(0, 10**18 - 1))},'
            f'"p":"{draw(price)}","q":"{draw(quantity)}","T":{time},'
            f'"m":{draw(booleans)},"M":{draw(booleans)}}}'
        )
        text = f'{{"stream":"x@trade","data":{data}}}' if draw(st.booleans()) else data
        return binance(text.encode(), sequence=sequence)
    tail = f',"priceUsd":{draw(price)}' if draw(st.booleans()) else ""
    exchange = draw(st.sampled_from(["bitso", "binance", "gdax"]))
    text = (
        f'{{"exchange":"{exchange}","base":"{draw(slugs)}","quote":"{draw(slugs)}",'
        f'"direction":"{draw(st.sampled_from(["buy", "sell"]))}","price":{draw(price)},"volume":{draw(quantity)},'
        f'"timestamp":{draw(times)}{tail}}}'
    )
    return coincap(text.encode(), venue=f"coincap-{exchange}", sequence=sequence)


_PIECES = (b"", b"0", b"9", b".", b"-", b"e", b" ", b"\n", b'"', b",", b"}", b"\x00", b"\xc3")


def in_bronze(spark: SparkSession, frames: list[Frame]) -> DataFrame:
    rows = []
    for offset, frame in enumerate(frames):
        received = None if frame.received_us is None else time_of(frame.received_us)
        headers = (frame.venue, frame.channel, frame.key, frame.session_id, frame.sequence, received, frame.origin)
        rows.append(("T0", "t", 0, offset, *headers, frame.payload, received, received))
    return spark.createDataFrame(rows, FRAMES.schema).coalesce(1)


def fast_rows(bronze: DataFrame) -> dict[int, dict[str, Any]]:
    found = {}
    for row in canonical_trades(route_frames(bronze, load_symbols())).select("offset", *FIELDS).collect():
        found[row["offset"]] = row.asDict() | {"event_time": row["event_time"].replace(tzinfo=UTC)}
    return found


def strict_row(frame: Frame) -> dict[str, Any] | None:
    parsed = parse_frame(frame)
    if len(parsed) != 1 or not isinstance(parsed[0], Trade):
        return None
    values = vars(parsed[0])
    return {name: values[name] for name in FIELDS} | {"event_time": time_of(parsed[0].event_time)}


def drawn(frames: st.SearchStrategy[Frame], number: int) -> list[Frame]:
    """Draw first and ask Spark once: a job an example would take minutes."""
    found: list[Frame] = []

    @seed(SEED)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(frames)
    def draw(frame: Frame) -> None:
        found.append(frame)

    draw()
    return found


def test_both_paths_give_the_same_rows(spark: SparkSession) -> None:
    print(f"seed {SEED}")
    good, odd = drawn(canonical(), 400), [*drawn(beside(canonical(), _PIECES, 1), 800), *drawn(mutations.frames(), 400)]
    frames = [*good, *odd, *(case.frame for case in CASES if not case.is_huge)]
    bronze = in_bronze(spark, frames)
    found = fast_rows(bronze)
    for offset, frame in enumerate(frames):
        fast, strict = found.get(offset), strict_row(frame)
        assert fast is None or fast == {"offset": offset, **(strict or {})}, frame
        # A canonical frame goes the strict way only to be named a reason, e.g. an amount that is too big.
        assert offset >= len(good) or fast is not None or strict is None, frame
    taken = sum(offset < len(good) for offset in found)
    assert taken > len(good) * 0.9
    assert len(odd) * 0.02 < len(found) - taken < len(odd) * 0.9
    # Whatever the strict parser makes of them, its columns can hold.
    rows = {(offset, row.row, row.kind) for offset, frame in enumerate(frames) for row in parse_frame(frame)}
    assert {
        tuple(row) for row in parse_strictly(bronze, load_symbols()).select("offset", "row", KIND).collect()
    } == rows
