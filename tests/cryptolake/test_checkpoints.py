"""Checkpoints lost, cut short, exchanged; `run` and single steps in turn: nothing lost, nothing twice, or a stop."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from experiments import Experiment
from pyspark.sql import SparkSession
from stream_lake import Market, StreamLake, line_of

from cryptolake.broker.local import LocalBroker
from cryptolake.waiting import wait_until
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings, load_settings
from silver.tables import TRADES

TRADES_AT_ONCE = 30
RIGHT, NAMED, FAILED = "right", "a named stop", "a stream that Spark would not start"
Damage = Callable[[Path, random.Random], None]


def of_small_batches(home: Path) -> Settings:
    """Two batches for what is published at once, and no patience."""
    settings = load_settings(home=home)
    limits = {"max_offsets_per_trigger": TRADES_AT_ONCE // 2, "restart_limit": 1, "restart_backoff_s": 0.1}
    return settings.model_copy(update={"lake": settings.lake.model_copy(update=limits)})


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of their own: the topics of a venue are found by their names."""
    local = LocalBroker(load_settings(home=tmp_path_factory.mktemp("checkpoints-broker")))
    yield local.start()
    local.stop()


@pytest.fixture(scope="module")
def world(spark: SparkSession, servers: str, tmp_path_factory: pytest.TempPathFactory, market: Market) -> StreamLake:
    """A lake that has carried some batches, for one damage after the other."""
    world = StreamLake(spark, of_small_batches(tmp_path_factory.mktemp("checkpoints")), servers)
    world.publish(market.more(TRADES_AT_ONCE))
    world.run()
    assert world.ids() == market.ids()
    return world


def newest(folder: Path) -> Path:
    return max((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def lost(folder: Path, _: random.Random) -> None:
    shutil.rmtree(folder)


def gone(*names: str) -> Damage:
    def damage(folder: Path, _: random.Random) -> None:
        for name in names:
            path = folder / name
            (shutil.rmtree if path.is_dir() else Path.unlink)(path)

    return damage


def newest_gone(name: str, *, stray: bool = False) -> Damage:
    def damage(folder: Path, _: random.Random) -> None:
        path = newest(folder / name)
        path.unlink()
        if stray:  # what a file system with checksums leaves
            path.with_name(f".{path.name}.crc").write_bytes(b"crc\0\0\0\2\0\0\0\0\0")

    return damage


def file_of(folder: Path, name: str) -> Path:
    return newest(folder / name) if (folder / name).is_dir() else folder / name


def cut_short(name: str) -> Damage:
    def damage(folder: Path, chance: random.Random) -> None:
        path = file_of(folder, name)
        path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size - 1)])

    return damage


def bit_flipped(name: str) -> Damage:
    def damage(folder: Path, chance: random.Random) -> None:
        path = file_of(folder, name)
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

    return damage


DAMAGES: dict[str, tuple[Damage, set[str]]] = {
    "lost": (lost, {RIGHT}),
    "offsets cut short": (cut_short("offsets"), {NAMED}),
    "commit cut short": (cut_short("commits"), {NAMED}),
    "metadata cut short": (cut_short("metadata"), {NAMED}),
    "initial offsets cut short": (cut_short("sources/0"), {NAMED}),
    "metadata gone": (gone("metadata"), {NAMED}),
    "newest offsets gone": (newest_gone("offsets"), {NAMED}),
    "all offsets gone": (gone("offsets"), {NAMED}),
    "newest commit gone": (newest_gone("commits"), {RIGHT}),
    "newest commit gone but for its checksum": (newest_gone("commits", stray=True), {RIGHT}),
    "all commits gone": (gone("commits"), {RIGHT}),
    "initial offsets gone": (gone("sources"), {RIGHT}),
    "a bit of the offsets flipped": (bit_flipped("offsets"), {RIGHT, NAMED, FAILED}),
    "a bit of the commit flipped": (bit_flipped("commits"), {RIGHT, NAMED, FAILED}),
    "a bit of metadata flipped": (bit_flipped("metadata"), {RIGHT, NAMED, FAILED}),
}


def carried(world: StreamLake, wanted: set[str]) -> str:
    """Run; after a named stop do what it says, which must be to go on without the checkpoint, and run again."""
    stopped = ""
    try:
        world.run()
    except CryptolakeError as error:
        stopped = str(error)
    if stopped:
        shutil.rmtree(world.checkpoint)
        world.run()
    seen = NAMED if f"Remove the folder {world.checkpoint}" in stopped else FAILED if stopped else RIGHT
    assert seen in wanted, stopped
    return f"{seen}: {stopped}" if stopped else seen


@pytest.mark.experiment(
    17,
    fault="every file of the checkpoint cut short, deleted or with a bit flipped; a stray checksum; the folder lost",
    holds="I1 I2 I7: right by itself, or a stop that names the folder to remove, and right without it",
)
@pytest.mark.timeout(1200)
def test_a_damaged_checkpoint_stops_by_name_or_loses_and_doubles_nothing(
    world: StreamLake, market: Market, experiment: Experiment
) -> None:
    drawn = experiment.chance.sample(sorted(DAMAGES), experiment.times(1, len(DAMAGES)))
    for name in drawn:
        damage, wanted = DAMAGES[name]
        world.publish(market.more(TRADES_AT_ONCE))
        damage(world.checkpoint, experiment.chance)
        print(f"{name}: {carried(world, wanted)}")
        assert world.ids() == market.ids(), name
        experiment.done()
    world.assert_holds(market.said)


@pytest.mark.experiment(
    17,
    fault="the checkpoint of another home, which had come further; an older copy of its own",
    holds="I1 I2 I3 I7: a stop that names the folder, and nothing missing or twice without it",
)
@pytest.mark.timeout(1200)
def test_an_exchanged_checkpoint_stops_by_name(
    world: StreamLake, market: Market, spark: SparkSession, tmp_path: Path, experiment: Experiment
) -> None:
    old = shutil.copytree(world.checkpoint, tmp_path / "old")
    world.publish(market.more(TRADES_AT_ONCE))
    world.run()
    world.publish(market.more(TRADES_AT_ONCE))
    other = StreamLake(spark, of_small_batches(tmp_path / "other"), world.bootstrap_servers)
    other.step("land")
    exchanged = [(other.checkpoint, {NAMED}), (old, {RIGHT, NAMED})]
    for foreign, wanted in exchanged[: experiment.times(1, 2)]:
        shutil.rmtree(world.checkpoint)
        shutil.copytree(foreign, world.checkpoint)
        print(carried(world, wanted))
        assert world.ids() == market.ids()
        experiment.done()
    world.assert_holds(market.said)


@pytest.mark.experiment(
    17,
    fault="changes between `run`, a `run` that is stopped, and single steps, in mid-stream",
    holds="I1 I2 I5 I6 I7: each trade once, bars and trends equal to the oracle",
)
@pytest.mark.timeout(1200)
def test_run_and_single_steps_may_take_turns(world: StreamLake, market: Market, experiment: Experiment) -> None:
    steps = ("land", "refine", "aggregate", "predict")
    for _ in range(experiment.times(2, 12)):
        repeated = [line_of(trade) for trade in experiment.chance.sample(market.said, 5)]
        world.publish([*market.more(TRADES_AT_ONCE), *repeated])
        way = experiment.chance.choice(("run", "stopped run", *steps))
        print(way)
        if way == "run":
            world.run()
        elif way == "stopped run":
            stopped_run(world)
        else:
            for name in steps[: 1 + steps.index(way)]:
                world.step(name)
        experiment.done()
    world.run()
    world.assert_holds(market.said)


def stopped_run(world: StreamLake) -> None:
    """A `run` that is told to end once something has come."""
    stop, before = threading.Event(), world.lake.version(TRADES)
    ended = threading.Thread(target=lambda: (wait_until(lambda: world.lake.version(TRADES) > before, 60), stop.set()))
    ended.start()
    world.run(stop)
    ended.join()
