"""The spool on a real disk: torn tails, bounds, leases, kill -9."""

# ruff: noqa: S311

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bronze_kit import REPO_ROOT, await_until, file_size_limit

from bronze.ack_window import AckWindow
from bronze.coverage import Coverage
from bronze.lease import SpoolInUseError
from bronze.record import Position, Record, encode
from bronze.spool import Spool, SpoolFullError
from lakehouse.errors import SettingsError
from lakehouse.settings import SpoolSettings, load_settings


@pytest.fixture
def spool_settings() -> SpoolSettings:
    # Checkpoints only when a test asks for one.
    return load_settings().spool.model_copy(update={"checkpoint_interval_s": 3600})


def trade(trade_id: int, size: int = 40, symbol: str = "BTCUSDT") -> Record:
    payload = b"%d " % trade_id + os.urandom(size)
    return Record(
        "binance", "trade", "btcusdt@trade", "S1", trade_id, 1_700_000_000_000_000, "stream", payload,
        symbol, trade_id, trade_id,
    )  # fmt: skip


def contents(spool: Spool) -> list[Record]:
    return [record for _, _, record in walk(spool, spool.acked)]


def walk(spool: Spool, position: Position) -> Iterator[tuple[Position, Position, Record]]:
    while found := spool.read(position):
        yield from found
        position = found[-1][1]


def append_until_full(spool: Spool, size: int) -> int:
    for number in range(1000):
        try:
            spool.append(trade(number, size))
        except SpoolFullError:
            return number
    raise AssertionError("it is never full")


def high(spool: Spool) -> int | None:
    return spool.ask(lambda coverage: coverage.high("BTCUSDT"))


def test_a_tail_torn_at_any_byte_costs_only_the_torn_record(
    tmp_path: Path, spool_settings: SpoolSettings, caplog: pytest.LogCaptureFixture
) -> None:
    records = [trade(1), trade(2), trade(3)]
    with Spool(tmp_path / "whole", spool_settings) as spool:
        for record in records:
            spool.append(record)
    (segment,) = (tmp_path / "whole").glob("*.seg")
    whole, last = segment.read_bytes(), len(encode(records[2]))
    for cut in range(1, last + 1):
        torn = tmp_path / "torn"
        torn.mkdir()
        (torn / segment.name).write_bytes(whole[:-cut])
        caplog.clear()
        with Spool(torn, spool_settings) as spool:
            assert contents(spool) == records[:2]
            assert high(spool) == 2
            spool.append(trade(4))
            assert [record.sequence for record in contents(spool)] == [1, 2, 4]
        if cut < last:
            assert f"{last - cut} bytes" in caplog.text
        shutil.rmtree(torn)


@pytest.mark.parametrize("damage", ["flipped bit", "zeros", "noise"])
def test_a_damaged_tail_is_dropped_and_said(
    tmp_path: Path, spool_settings: SpoolSettings, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Spool(tmp_path, spool_settings) as spool:
        for record in (first := trade(1), trade(2)):
            spool.append(record)
    (tmp_path / "state.json").unlink()
    (segment,) = tmp_path.glob("*.seg")
    data = bytearray(segment.read_bytes())
    if damage == "flipped bit":
        data[-5] ^= 4
    else:
        data = data[: len(encode(first))] + (b"\0" * 4096 if damage == "zeros" else os.urandom(4096))
    segment.write_bytes(data)
    with Spool(tmp_path, spool_settings) as spool:
        assert contents(spool) == [first]
    assert "dropped" in caplog.text


def test_it_is_bounded_and_takes_records_again_once_kafka_has_some(
    tmp_path: Path, spool_settings: SpoolSettings
) -> None:
    bounds = {"segment_bytes": 4096, "max_bytes": 20_000, "reserve_bytes": 1000}
    with Spool(tmp_path, spool_settings.model_copy(update=bounds)) as spool:
        count = append_until_full(spool, 400)
        assert 30 < count < 50
        assert sum(path.stat().st_size for path in tmp_path.glob("*.seg")) <= 20_000
        assert not spool.has_room()
        spool.append(trade(count), urgent=True)  # a marker of the loss still finds room
        held = list(walk(spool, spool.acked))
        spool.acknowledge(held[len(held) // 2][1])
        spool.checkpoint()
        assert spool.has_room()
        spool.append(trade(count + 1, 400))
        assert sum(path.stat().st_size for path in tmp_path.glob("*.seg")) == spool.size_bytes < 16_000
        kept = [record.sequence for record in contents(spool)]
        assert kept == [*range(len(held) // 2 + 1, count), count, count + 1]


def test_segments_too_large_for_the_bound_are_refused(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    with pytest.raises(SettingsError, match="quarter"):
        Spool(tmp_path, spool_settings.model_copy(update={"segment_bytes": 10, "max_bytes": 30}))


def test_acknowledgements_in_any_order_never_pass_a_hole(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    shuffled = random.Random(seed)
    with Spool(tmp_path, spool_settings) as spool:
        for number in range(200):
            spool.append(trade(number))
        places = list(walk(spool, spool.acked))
        window = AckWindow(spool.acked)
        for place, after, record in places:
            window.add(place, after, len(record.payload))
        order = list(range(200))
        shuffled.shuffle(order)
        acked: set[int] = set()
        for number in order:
            window.ack(places[number][0])
            acked.add(number)
            run = next((n for n in range(200) if n not in acked), 200)
            assert window.prefix == (places[run - 1][1] if run else spool.acked)
            assert window.unacked == 200 - len(acked)
            assert [n for n in range(200) if window.waits_for(places[n][0])] == [
                n for n in range(200) if n not in acked
            ]
        assert window.wait_for_room(1, 1, 0)


def test_what_is_acknowledged_does_not_come_again_and_the_rest_does(
    tmp_path: Path, spool_settings: SpoolSettings
) -> None:
    with Spool(tmp_path, spool_settings) as spool:
        for number in range(10):
            spool.append(trade(number))
        spool.acknowledge(list(walk(spool, spool.acked))[3][1])
    with Spool(tmp_path, spool_settings) as spool:
        assert [record.sequence for record in contents(spool)] == [4, 5, 6, 7, 8, 9]
        assert not spool.all_acked()
        spool.acknowledge(list(walk(spool, spool.acked))[-1][1])
        assert spool.all_acked()
    with Spool(tmp_path, spool_settings) as spool:
        assert contents(spool) == []
        assert spool.all_acked()
        assert high(spool) == 9  # kept beyond trimming


def test_missing_ids_are_wanted_until_they_are_in_the_spool(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    def holes(spool: Spool) -> list[tuple[int, int]]:
        return [(hole.first, hole.last) for hole in spool.ask(lambda c: c.holes(time.monotonic()))]

    with Spool(tmp_path, spool_settings) as spool:
        for number in (1, 2, 7, 8, 10):
            spool.append(trade(number))
        assert holes(spool) == [(3, 6), (9, 9)]
        spool.acknowledge(list(walk(spool, spool.acked))[-1][1])
        spool.checkpoint()
        spool.append(trade(4))
    with Spool(tmp_path, spool_settings) as spool:
        assert holes(spool) == [(3, 3), (5, 6), (9, 9)]


def test_a_second_process_is_refused_by_pid(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    with Spool(tmp_path, spool_settings):
        with pytest.raises(SpoolInUseError, match=f"pid {os.getpid()}"):
            Spool(tmp_path, spool_settings)
    Spool(tmp_path, spool_settings).close()


def test_a_full_disk_refuses_records_and_harms_none(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    small = spool_settings.model_copy(update={"segment_bytes": 1 << 20, "max_bytes": 1 << 22})
    with Spool(tmp_path, small) as spool:
        with file_size_limit(10_000):
            taken = append_until_full(spool, 100)
        assert 20 < taken < 100
        spool.append(trade(taken))  # there is room again
        assert [record.sequence for record in contents(spool)] == list(range(taken + 1))
    with Spool(tmp_path, small) as spool:
        assert [record.sequence for record in contents(spool)] == list(range(taken + 1))


WRITER = """
import sys, threading
from pathlib import Path
from bronze.record import Record
from bronze.spool import Spool
from lakehouse.settings import load_settings
settings = load_settings().spool.model_copy(
    update={"segment_bytes": 20_000, "max_bytes": 10**7, "checkpoint_interval_s": 0.005, "fsync_interval_ms": 1})
spool = Spool(Path(sys.argv[1]), settings)
start = (spool.ask(lambda c: c.high("BTCUSDT")) or 0) + 1
for number in range(start, start + 1_000_000):
    record = Record("binance", "trade", "k", "s", number, 1, "stream", b"x" * 200, "BTCUSDT", number, number)
    end = spool.append(record)
    if number % 3 == 0:
        spool.acknowledge(end)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_kill_9_at_any_moment_loses_nothing_and_invents_nothing(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    drawn = random.Random(seed)
    environment = os.environ | {"PYTHONPATH": str(REPO_ROOT)}
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout is not None
        first = int(writer.stdout.readline())
        time.sleep(drawn.uniform(0.01, 0.25))
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read().split(b"\n")[:-1]  # the last may be cut off
        writer.wait()
        appended = int(lines[-1]) if lines else first
        with Spool(tmp_path, spool_settings) as spool:
            held = [record.sequence for record in contents(spool)]
            assert held == list(range(held[0], held[-1] + 1)) if held else True
            # The writer may have been killed between a write and its report of it.
            assert high(spool) in (appended, appended + 1)
            assert not held or held[-1] == high(spool)
            assert spool.acked == Position(0, 0) or not held or held[0] <= appended + 1


def test_the_coverage_does_not_depend_on_where_a_crash_fell(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    drawn = random.Random(seed)
    ids = [number for number in range(1, 400) if drawn.random() > 0.1]
    ids += drawn.sample(ids, 30)
    ids.sort(key=lambda number: number + drawn.uniform(0, 6))
    expected = Coverage()
    spool = Spool(tmp_path, spool_settings)
    for number in ids:
        record = trade(number)
        expected.add(record)
        spool.append(record)
        if drawn.random() < 0.05:
            spool.checkpoint()
        if drawn.random() < 0.05:
            spool.close()
            spool = Spool(tmp_path, spool_settings)
    assert spool.ask(lambda coverage: coverage.state()) == expected.state()
    spool.close()
    held = set(ids)
    missing = {n for first, last in expected.state()["symbols"]["BTCUSDT"][1] for n in range(first, last + 1)}
    assert missing == set(range(ids[0], max(ids) + 1)) - held - set(range(ids[0]))


def test_records_are_fsynced_without_being_asked(tmp_path: Path, spool_settings: SpoolSettings) -> None:
    synced: list[int] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch, Spool(tmp_path, spool_settings) as spool:
        patch.setattr(os, "fsync", noted)
        spool.append(trade(1))
        await_until(lambda: len(synced) >= 2, 5, "an fsync of the folder, and one of the records")
