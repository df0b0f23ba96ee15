"""The venue changes its frames in mid-stream: what can be read is, the rest waits whole in quarantine for the rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bars_oracle import Trade
from experiments import Experiment
from pyspark.sql import SparkSession
from stream_lake import START, SYMBOLS, StreamLake, line_of, trade_of

from cryptolake.audit.venues import binance as audited
from cryptolake.broker.local import LocalBroker
from cryptolake.replaying import replay_alone
from lakehouse.settings import Settings
from lakehouse.table import Table
from silver.rows import Frame, ParsedRow
from silver.selection import Selection
from silver.strict_json import Number
from silver.tables import ONE_MINUTE_BARS, QUARANTINE, TRADES
from silver.venues.binance import BINANCE, parse_trades

Change = Callable[[str], str]


@pytest.fixture
def servers(settings: Settings) -> Iterator[str]:
    local = LocalBroker(settings)
    yield local.start()
    local.stop()


def replaced(old: str, new: str) -> Change:
    return lambda text: re.sub(old, new, text, count=1)


# What the venue does, and the reason for which its frames then wait; none where they can be read.
CHANGES: dict[str, tuple[Change, str | None]] = {
    "as ever": (lambda text: text, None),
    "a new field": (replaced('"M":true', '"M":true,"x":{"y":1}'), None),
    "a field that nobody needs is gone": (replaced(',"M":true', ""), None),
    "microseconds": (replaced(r'("E":[0-9]+),', r"\g<1>000,"), None),
    "price as a number": (replaced(r'"p":"([0-9.]+)"', r'"p":\1'), "wrong_type:p"),
    "quantity under another name": (replaced('"q":', '"qty":'), "missing_field:q"),
    "a new kind of event": (replaced('"e":"trade"', '"e":"tradeV2"'), "unknown_value:e"),
    "as before": (lambda text: text, None),
}


def as_of_old(value: Any) -> Any:
    """The rule of tomorrow: the new forms mean what the old ones meant."""
    data = dict(value["data"])
    data["p"] = str(data["p"]) if isinstance(data.get("p"), Number) else data.get("p")
    data["e"] = "trade" if data.get("e") == "tradeV2" else data.get("e")
    if "qty" in data:
        data["q"] = data.pop("qty")
    return {**value, "data": data}


def parsed_by_the_new_rule(frame: Frame, value: Any) -> list[ParsedRow]:
    return parse_trades(frame, as_of_old(value))


def judged_by_the_new_rule(index: int, row: int, frame: Any, value: Any, into: Any) -> None:
    data = dict(value["data"])
    data["p"] = data["p"] if isinstance(data["p"], str) else f"{data['p']:f}"
    audited._streamed_trade(index, row, frame, as_of_old({**value, "data": data}), into)  # noqa: SLF001


def versions(world: StreamLake, *tables: Table) -> list[int]:
    return [world.lake.version(table) for table in tables]


@pytest.mark.experiment(
    26,
    fault="a new field, one that goes, microseconds; then another type, another name, a new value of an enumeration",
    holds="I1 I5: new fields are rescued, what breaks a rule waits whole, and is in silver once the rule is mended; I7",
)
@pytest.mark.timeout(900)
def test_what_a_venue_changes_is_rescued_or_waits_for_its_rule(
    spark: SparkSession,
    settings: Settings,
    servers: str,
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each, batches = experiment.times((30, 1), (3_000, 3))
    limits = settings.lake.model_copy(update={"max_offsets_per_trigger": len(CHANGES) * each // batches})
    world = StreamLake(spark, settings.model_copy(update={"lake": limits}), servers)
    said: list[Trade] = []
    waiting: dict[tuple[str, int | None], str] = {}
    lines = []
    for change, reason in CHANGES.values():
        new = [
            trade_of(n // 3, START + timedelta(milliseconds=100 * n), f"{7 + n % 5}.25", SYMBOLS[n % 3])
            for n in range(len(said), len(said) + each)
        ]
        lines += [line_of(trade, frame=change) for trade in new]
        waiting |= {(trade.symbol, trade.trade_id): reason for trade in new if reason}
        said += new
        experiment.done()
    world.publish(lines)
    world.run()
    good = [key for trade in said if (key := (trade.symbol, trade.trade_id)) not in waiting]
    assert world.ids() == sorted(good)
    assert sum(row["rescued"] == '{"x":{"y":1}}' for row in world.rows(TRADES)) == each
    refused = [(row["row"], *row["reasons"]) for row in world.rows(QUARANTINE)]
    assert sorted(refused) == sorted((-1, reason) for reason in waiting.values())
    world.assert_audited()

    monkeypatch.setitem(BINANCE.parsers, "trade", parsed_by_the_new_rule)  # type: ignore[arg-type]
    reader = audited.CHANNELS["trade"]._replace(single=judged_by_the_new_rule)
    monkeypatch.setitem(audited.CHANNELS, "trade", reader)  # type: ignore[arg-type]
    assert replay_alone(world.lake, Selection())["silver"] == len(waiting)
    world.assert_holds(said)
    before = versions(world, TRADES, QUARANTINE, ONE_MINUTE_BARS)
    assert replay_alone(world.lake, Selection()) == {}
    assert versions(world, TRADES, QUARANTINE, ONE_MINUTE_BARS) == before
    experiment.note(f"{len(waiting)} frames waited in quarantine")
