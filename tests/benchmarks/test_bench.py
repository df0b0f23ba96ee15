"""The benches at a tiny size: what they publish, that wrong figures have no time, and that their tables can be made."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from kafka import KafkaProducer
from pyspark.sql import SparkSession

from benchmarks.catch_up import figures
from benchmarks.collector import Arrivals, collector, compared
from benchmarks.commits import appends, commits_of, latencies_s
from benchmarks.load import TOPIC, Load
from benchmarks.oracle import Tables, WrongFiguresError, check
from benchmarks.peer import Peer
from benchmarks.publish import publish
from benchmarks.report import tables_of
from benchmarks.site import ROOT, LakeProcess, Site, site, wait_for
from benchmarks.usage import Usage
from bronze import tables as bronze
from bronze.publisher import headers_of
from bronze.record import Record
from bronze.topics import ensure_topics
from cryptolake.logs import log_to
from cryptolake.pipeline import Pipeline
from cryptolake.running import stream
from gold import tables as gold
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from silver import tables as silver

# Three minutes of a market, so that minutes close; small enough to be refined in memory.
LOAD = Load(3_600, symbols=20, rate_per_s=20)


def frames_of(load: Load) -> pa.Table:
    """What Kafka would give the peer."""
    sent = [frame for chunk in load.frames() for frame in chunk]
    received = pa.array([frame.at_us for frame in sent], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "partition": pa.array([0] * len(sent), pa.int32()),
            "offset": pa.array(range(len(sent)), pa.int64()),
            "received_at": received,
            "payload": pa.array([frame.payload for frame in sent], pa.binary()),
        }
    )


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The peer's tables of the load, taken in two batches."""
    folder = tmp_path_factory.mktemp("peers")
    peer, frames = Peer(Tables.of(folder)), frames_of(LOAD)
    for part in (frames.slice(0, 2_000), frames.slice(2_000)):
        peer.take(part)
    peer.close_all()
    return folder


@pytest.fixture
def carried(peers: Path, tmp_path: Path) -> Tables:
    """Tables of the test's own, with what the peer has written."""
    return Tables.of(shutil.copytree(peers, tmp_path / "peer"))


def test_a_load_is_the_same_every_time_and_says_what_it_holds() -> None:
    sent = [frame for chunk in LOAD.frames() for frame in chunk]
    assert sent == [frame for chunk in LOAD.frames() for frame in chunk]
    assert [frame.at_us for frame in sent] == sorted(frame.at_us for frame in sent)
    counts = LOAD.counts()
    assert len(sent) == counts["frames"] == counts["trades"] + counts["duplicates"] + counts["malformed"]
    assert len({frame.payload for frame in sent if frame.payload.startswith(b'{"e":"trade","E":1')}) >= counts["trades"]
    assert counts["duplicates"] > 10 < counts["malformed"]


def test_the_ids_of_the_next_stretch_go_on_where_those_of_the_last_one_ended() -> None:
    ledger = pa.concat_tables([*LOAD.ledger(), *LOAD.then(1_000).ledger()]).to_pandas()
    for _, ids in ledger.groupby("symbol")["trade_id"]:
        assert sorted(ids) == list(range(1, len(ids) + 1))
    assert ledger["event_ms"].is_monotonic_increasing


def test_the_peer_gives_the_answer_of_the_oracle(carried: Tables) -> None:
    assert check([LOAD], carried) == {"frames": LOAD.counts()["frames"], "trades": 3_600, "bars": 60}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("bars", {"vwap": "vwap + 0.0000000000000001"}),
        ("bars", {"open": "close"}),
        ("trades", {"quantity": "quantity + 0.00000001"}),
        ("trades", {"side": "'buy'"}),
    ],
)
def test_one_wrong_digit_is_found(carried: Tables, table: str, change: dict[str, str]) -> None:
    DeltaTable(str(getattr(carried, table))).update(change, predicate="symbol = 'S0003-USDT'")
    with pytest.raises(WrongFiguresError, match=r"S0003"):
        check([LOAD], carried)


@pytest.mark.parametrize("table", ["frames", "trades", "bars", "quarantine"])
@pytest.mark.parametrize("how", ["lost", "doubled"])
def test_a_row_that_is_lost_or_there_twice_is_found(carried: Tables, table: str, how: str) -> None:
    folder = str(getattr(carried, table))
    rows = DeltaTable(folder).to_pyarrow_table()
    wrong = rows.slice(1) if how == "lost" else pa.concat_tables([rows, rows.slice(0, 1)])
    write_deltalake(folder, wrong, mode="overwrite")
    with pytest.raises(WrongFiguresError):
        check([LOAD], carried)


def test_a_row_is_readable_when_its_commit_appears(peers: Path) -> None:
    commits = appends(commits_of(Tables.of(peers).trades))
    assert [commit.version for commit in commits] == [0, 1]
    received_us = frames_of(LOAD)["received_at"].cast(pa.int64()).to_pylist()
    waited_s = latencies_s(commits, "received_at", LOAD.first_us, LOAD.end_us + 1)
    assert len(waited_s) == 3_600
    assert waited_s.max() == pytest.approx(commits[0].at_s - min(received_us) / 1e6, abs=1e-5)


def test_what_a_process_used_counts_on_when_it_has_ended_and_another_has_begun() -> None:
    script = "while sum(__import__('os').times()[:2]) < 0.6: pass\ninput()"
    pids: list[int] = []
    with Usage({"program": lambda: pids[-1] if pids else None}) as usage:
        samples = usage.samples["program"]
        for wanted_s in (0.6, 1.2):
            with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
                pids.append(process.pid)
                wait_for(lambda: bool(samples) and samples[-1].cpu_s >= wanted_s, "processor time", 30)  # noqa: B023
                process.kill()
    assert all(a.cpu_s <= b.cpu_s for a, b in pairwise(samples))


def test_every_optimisation_is_where_it_is_to_be_taken_out() -> None:
    # In a process of its own, which is of no use afterwards.
    script = "from benchmarks.without import OPTIMISATIONS\nfor each in OPTIMISATIONS.values():\n    each.take_out()"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose topic holds the load."""
    with site(tmp_path_factory.mktemp("site")) as at:
        ensure_topics(at.settings, at.bootstrap_servers, [TOPIC])
        client = KafkaProducer(bootstrap_servers=at.bootstrap_servers)

        def send(record: Record) -> None:
            client.send(record.topic, record.payload, record.key.encode(), headers_of(record))

        publish(LOAD, send)
        client.flush()
        client.close()
        yield at


def test_our_lake_gives_the_answer_of_the_oracle_and_its_figures_become_a_table(
    published: Site, spark: SparkSession
) -> None:
    ours = published.lake("ours")
    ours.started_s = 1.0
    with Usage({"program": os.getpid, "broker": lambda: published.broker_pid}) as usage:
        run_until_idle(spark, ours, published.bootstrap_servers)
    assert check([LOAD], ours.tables)["bars"] == 60
    run = {"who": "ours"} | figures(ours, usage, time.time(), LOAD.trades)
    assert sum(batch["frames"] for batch in run["batches"]) == LOAD.counts()["frames"]
    assert run["cpu_s_per_million"] > 0
    assert run["broker_cpu_s_per_million"] > 0
    text = tables_of({"catch_up": {"loads": [{"trades": LOAD.trades, "runs": [run]}]}})
    assert f"| {LOAD.trades:,} | ours | {run['trades_per_s']:,} |" in text


def test_the_peer_takes_the_topic_as_a_process(published: Site) -> None:
    pytest.importorskip("confluent_kafka", reason="of the extra `bench`: make bench installs it")
    peer = published.peer("peer")
    peer.until_idle(60)
    assert check([LOAD], peer.tables)["trades"] == LOAD.trades
    assert peer.began_s > peer.started_s


def test_what_a_venue_says_is_timed_up_to_kafka_and_becomes_a_table(tmp_path: Path) -> None:
    part = collector(tmp_path, [100], seconds=3, warm_up_s=2)
    (found,) = part["rates"]
    assert 0 < found["received_s"]["p50"] <= found["in_kafka_s"]["p50"]
    assert found["compared"]["trades"] > found["trades_per_s"] * found["seconds"] > 100
    assert found["cpu_s_per_million"] > 0
    assert f"| {found['trades_per_s']:,} |" in tables_of({"collector": part})


@pytest.mark.parametrize(
    ("held", "told"), [({}, "1 of 1 trades are not in Kafka"), ({("B", 1): ("1", "3")}, "1 of 1 trades differ")]
)
def test_a_trade_that_is_not_in_kafka_or_another_one_there_has_no_time(
    tmp_path: Path, held: dict[tuple[str, int], tuple[str, str]], told: str
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    row = {"symbol": "B", "id": 1, "price": "1", "quantity": "2", "event_time_us": 1}
    ledger.write_text(json.dumps(row) + '\n{"symbol": "B", "id": 2, ')
    arrivals = Arrivals(SimpleNamespace(assignment=set, end_offsets=lambda _: {}), trades=held)
    with pytest.raises(WrongFiguresError, match=told):
        compared(ledger, arrivals, until_s=1, timeout_s=0)
    arrivals.trades[("B", 1)] = ("1", "2")
    assert compared(ledger, arrivals, until_s=1, timeout_s=0) == 1


def run_until_idle(spark: SparkSession, ours: LakeProcess, bootstrap_servers: str) -> None:
    """What the lake's process does, in the session of the tests."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    log_to(ours.log)
    try:
        lake = Lake(spark, load_settings(home=ours.folder))
        lake.create(*bronze.TABLES, *silver.TABLES, *gold.TABLES)
        pipeline = Pipeline(lake, bootstrap_servers)
        pipeline.drain()
        stream(lake, pipeline, bootstrap_servers, True, threading.Event(), lambda: None)
    finally:
        logging.basicConfig(level=level, handlers=handlers, force=True)
