"""The quarantine replayed by its command: alone, killed between its writes, and beside a running owner of the lake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lock_holder import held
from pyspark.sql import SparkSession

from cryptolake.audit.run import audit
from cryptolake.cli import execute
from cryptolake.owner import owner_handlers
from cryptolake.pipeline import Pipeline
from cryptolake.replaying import replay_alone
from cryptolake.requests import Inbox
from gold import tables as gold_tables
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from silver import tables as silver_tables
from silver.replay import Replay
from silver.selection import Selection
from silver.tables import ONE_MINUTE_BARS, QUARANTINE, SIX_MINUTE_TRENDS, TRADES

sys.path.append(str(Path(__file__).resolve().parents[1] / "silver"))
from bronze_frames import LANDED_AT, Bronze, time_of
from made_frames import GOOD, MS, RECEIVED_US, binance

from bronze.tables import FRAMES
from silver.rows import Frame

MINUTE_MS = 60_000


def trade(trade_id: int, minute: int = 0, price: str = "1.5") -> Frame:
    text = GOOD.decode().replace('"t":7', f'"t":{trade_id}').replace("61837.63000000", price)
    return binance(text.replace(str(MS), str(MS - minute * MINUTE_MS)).encode(), sequence=trade_id)


def quarantine(bronze: Bronze, frames: list[Frame]) -> None:
    """Land good frames and have them in quarantine, as if their symbol had not been known."""
    first = len(bronze.held)
    bronze.land(frames)
    rows = [
        {
            **{"topic_id": "T0", "topic": "binance.trade", "partition": 0, "offset": offset, "row": -1},
            **{name: getattr(frame, name) for name in ("venue", "channel", "key", "session_id", "sequence", "origin")},
            **{"payload": frame.payload, "reasons": ["unknown_symbol"], "rule_version": "1"},
            **{"received_at": time_of(RECEIVED_US), "first_seen": LANDED_AT},
        }
        for offset, frame in bronze.held[first:]
    ]
    bronze.lake.append(QUARANTINE, bronze.lake.spark.createDataFrame(rows, QUARANTINE.schema))
    bronze.refine.advance_mark()


@pytest.fixture(scope="module")
def bronze(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Bronze:
    """Two minutes of trades in silver, their bars and trends, and good trades of both minutes in quarantine."""
    lake = Lake(spark, load_settings(home=tmp_path_factory.mktemp("quarantine")))
    lake.create(FRAMES, *silver_tables.TABLES, *gold_tables.TABLES)
    bronze = Bronze(lake)
    bronze.carry([trade(1, minute=1), trade(2)]).release()
    quarantine(bronze, [trade(11, 1, "9"), trade(12, 0, "9"), trade(2), trade(1, 1, "8")])
    return bronze


def versions(lake: Lake) -> list[int]:
    return [lake.version(table) for table in (TRADES, QUARANTINE, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS)]


def failed(lake: Lake) -> list[str]:
    return [f"{result.name}: {result.examples}" for result in audit(lake.settings) if not result.passed]


def highs(lake: Lake) -> list[str]:
    rows = lake.read(ONE_MINUTE_BARS).orderBy("minute").select("high", "trade_count").collect()
    return [f"{row['high'].normalize():f} of {row['trade_count']}" for row in rows]


@pytest.mark.experiment(
    28,
    fault="kill -9 of a replay of the quarantine between its writes, then the replay twice",
    holds="I1 I2 I5 I6: what was cut off is finished, and the second replay changes no row",
)
def test_killed_between_its_writes_and_given_again_it_loses_and_doubles_nothing(
    bronze: Bronze, repo_root: Path
) -> None:
    lake, home = bronze.lake, str(bronze.lake.settings.home)
    environment = os.environ | {"PYTHONPATH": str(repo_root), "CRYPTOLAKE_FAULT": "after_replay_insert:1"}
    command = [sys.executable, "-m", "cryptolake", "--home", home, "quarantine", "replay"]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert Replay(lake).unfinished()
    assert failed(lake) == []

    # Whatever is selected, what was cut off is finished first.
    assert replay_alone(lake, Selection(reason="none such")) == {"silver": 2, "marked": 2}
    assert not Replay(lake).unfinished()
    assert failed(lake) == []
    assert highs(lake) == ["9 of 2", "9 of 2"]
    assert replay_alone(lake, Selection()) == {"copy": 1, "conflict": 1, "marked": 2}
    assert failed(lake) == []
    before = versions(lake)
    assert replay_alone(lake, Selection()) == {"conflict": 1}
    assert versions(lake) == before


@contextmanager
def owned(lake: Lake, pipeline: Pipeline) -> Iterator[None]:
    """Have a lake that another process owns, and serve its inbox as that process does."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.05):
            Inbox(lake.settings.home).serve(owner_handlers(lake, pipeline))

    with held(lake.settings.home / "lake" / ".owner"):
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield
        finally:
            stop.set()
            server.join()


@pytest.mark.experiment(
    28,
    fault="a replay of the quarantine beside a running owner, once with a batch cut off",
    holds="I1 I2 I5 I6: done between two batches; bars and trends are corrected; refused after the cut",
)
def test_beside_a_running_owner_it_is_done_between_two_batches_and_corrects_bars_and_trends(
    bronze: Bronze, broker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = bronze.lake
    replay_alone(lake, Selection())  # one row contradicts silver and stays; the test above may have come this far
    pipeline = Pipeline(lake, broker)
    pipeline.drain()
    quarantine(bronze, [trade(21, 1, "20"), trade(22, 0, "30")])
    with owned(lake, pipeline):
        command = ["--home", str(lake.settings.home), "quarantine", "replay", "--reason", "unknown_symbol"]
        assert execute(command) == 0
        said = capsys.readouterr()
        assert "asked the owner" in said.err
        assert "3 quarantined rows tried, 2 marked anew" in said.out
        assert "2 silver    in silver now" in said.out
        pipeline.failure = RuntimeError("a batch was cut off")
        assert execute(command) == 1
        assert "The stream has just failed" in capsys.readouterr().err
        pipeline.failure = None
    pipeline.close()
    assert highs(lake) == ["20 of 3", "30 of 3"]
    assert failed(lake) == []
