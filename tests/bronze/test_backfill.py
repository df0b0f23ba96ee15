"""Open gaps are fetched from the real simulator, and dumps published, whatever dies in between."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from bronze_kit import REPO_ROOT, TopicReader, await_until, broker_of_its_own, topic_readers
from deltalake import write_deltalake
from simulator_process import SimulatorProcess

from bronze.dump import open_dump, publish_dump
from cryptolake.backfill import Backfilled, backfill_gaps, ranges_without
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings, load_settings

Read = Callable[[str], TopicReader]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: what is published here must not be found by tests of the lake."""
    with broker_of_its_own(tmp_path_factory.mktemp("backfill")) as local:
        running = local._files.running()  # noqa: SLF001 - its address
        assert running is not None
        yield running.bootstrap_servers


@pytest.fixture
def read_topic(kafka: str) -> Iterator[Read]:
    with topic_readers(kafka) as open_reader:
        yield open_reader


class Market:
    """A simulated market, and a home whose lake has gaps in its trades."""

    def __init__(self, process: SimulatorProcess, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.process = process
        for name in ("ws_url", "rest_url"):
            monkeypatch.setenv(f"CRYPTOLAKE__VENUES__BINANCE__{name.upper()}", process.urls[name])
        for name, value in {"BACKFILL__WAIT_S": 0, "BACKFILL__LOOK_EVERY_S": 0.1, "COLLECTOR__BACKOFF_S": 0.1}.items():
            monkeypatch.setenv(f"CRYPTOLAKE__{name}", str(value))
        self.settings: Settings = load_settings(home=home)
        self._lake = self.settings.home.resolve() / "lake" / "silver"
        self.hold("BTC-USDT")

    def newest(self, symbol: str = "BTCUSDT") -> int:
        return int(self.process.api(f"trades?symbol={symbol}&limit=1")[0]["id"])

    def hold(self, symbol: str, *ids: int) -> None:
        count = len(ids)
        columns = {"venue": ["binance"] * count, "symbol": [symbol] * count, "trade_id": pa.array(ids, pa.int64())}
        schema = pa.schema([("venue", pa.string()), ("symbol", pa.string()), ("trade_id", pa.int64())])
        write_deltalake(str(self._lake / "trades"), pa.table(columns, schema), mode="append")

    def gap(self, symbol: str, first: int | None, last: int | None, status: str = "open", age_s: float = 60) -> None:
        at = datetime.now(UTC) - timedelta(seconds=age_s)
        row = {"venue": "binance", "symbol": symbol, "from_id": first, "to_id": last, "status": status}
        types = dict.fromkeys(("venue", "symbol", "status"), pa.string()) | dict.fromkeys(
            ("from_id", "to_id"), pa.int64()
        )
        schema = pa.schema([(name, types[name]) for name in row] + [("detected_at", pa.timestamp("us", tz="UTC"))])
        write_deltalake(
            str(self._lake / "gaps"), pa.Table.from_pylist([row | {"detected_at": at}], schema), mode="append"
        )

    def once(self, kafka: str) -> Backfilled:
        return backfill_gaps(self.settings, kafka, threading.Event(), once=True)


@pytest.fixture
def market(
    simulator: Callable[..., SimulatorProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Market]:
    return lambda **flags: Market(simulator(**{"rate": 50, "symbols": 2} | flags), tmp_path / "home", monkeypatch)


def test_once_brings_what_open_gaps_lack_and_nothing_else(
    market: Callable[..., Market], kafka: str, read_topic: Read
) -> None:
    lake = market()
    assert lake.once(kafka) == Backfilled(0, 0, 0)
    newest, other = lake.newest(), lake.newest("ETHUSDT")
    lake.gap("BTC-USDT", newest - 3000, newest - 501)
    lake.gap("ETH-USDT", other - 5, other - 5)
    lake.gap("ETH-USDT", other - 20, other - 10, "unrecoverable")
    lake.gap("ETH-USDT", None, None)
    lake.hold("BTC-USDT", *range(newest - 900, newest - 800), newest)
    reader = read_topic("binance.trade")
    assert lake.once(kafka) == Backfilled(3, 2401, 0)
    found = reader.ids()
    wanted = set(range(newest - 3000, newest - 500)) - set(range(newest - 900, newest - 800))
    assert sorted(found["BTCUSDT"]) == sorted(wanted)
    assert found["ETHUSDT"] == [other - 5]
    assert {message.headers["origin"] for message in reader.messages} == {"backfill"}
    lake.process.fault(rest_failures=3)
    lake.gap("BTC-USDT", newest - 9, newest - 9)
    assert lake.once(kafka).trades == 2402
    lake.process.end()
    impatient = lake.settings.model_copy(update={"backfill": lake.settings.backfill.model_copy(update={"attempts": 1})})
    with pytest.raises(CryptolakeError, match=r"trades \d+ to \d+ of BTCUSDT could not be fetched\. Is the venue up"):
        backfill_gaps(impatient, kafka, threading.Event(), once=True)


def test_what_is_beyond_the_horizon_is_given_up_once_the_venue_said_so_twice(
    market: Callable[..., Market], kafka: str, read_topic: Read
) -> None:
    lake = market(limits="history_horizon_trades=100", rate=1)  # or the horizon moves on while it is asked
    newest = lake.newest()
    lake.gap("BTC-USDT", newest - 500, newest - 20)
    trades, markers = read_topic("binance.trade"), read_topic("binance.gap")
    told = lake.once(kafka)
    (marker,) = [json.loads(message.value) for message in markers.read()]
    assert marker["kind"] == "unrecoverable"
    assert (marker["symbol"], marker["from_id"]) == ("BTCUSDT", newest - 500)
    assert newest - 401 <= marker["to_id"] < newest - 20
    assert sorted(trades.ids()["BTCUSDT"]) == list(range(marker["to_id"] + 1, newest - 19))
    assert told.given_up == marker["to_id"] - marker["from_id"] + 1


def test_a_hole_that_only_an_absurd_id_can_have_made_is_told_and_left(
    market: Callable[..., Market], kafka: str, read_topic: Read, caplog: pytest.LogCaptureFixture
) -> None:
    lake = market()
    newest = lake.newest()
    lake.gap("BTC-USDT", newest + 1, 2**63 - 2)
    lake.gap("BTC-USDT", newest - 9, newest - 9)
    trades = read_topic("binance.trade")
    assert lake.once(kafka) == Backfilled(1, 1, 0)
    assert trades.ids()["BTCUSDT"] == [newest - 9]
    assert f"first={newest + 1}" in caplog.text


def test_a_killed_back_fill_goes_on_from_its_spool_and_the_tables(
    market: Callable[..., Market], kafka: str, read_topic: Read
) -> None:
    lake = market()
    newest = lake.newest()
    lake.gap("BTC-USDT", newest - 3000, newest - 501)
    reader = read_topic("binance.trade")
    command = [sys.executable, "-m", "cryptolake", "--home", str(lake.settings.home), "backfill"]
    environment = os.environ | {"PYTHONPATH": str(REPO_ROOT), "CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS": kafka}
    killed = subprocess.run(
        command, env=environment | {"CRYPTOLAKE_FAULT": "collector_after_spool:2"}, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    wanted = set(range(newest - 3000, newest - 500))
    with subprocess.Popen(command, env=environment) as running:
        try:
            await_until(lambda: wanted <= set(reader.ids().get("BTCUSDT", ())), 90, "all ids")
            # The spool's lease lets no second one work beside it.
            with pytest.raises(CryptolakeError, match="Another process"):
                lake.once(kafka)
            lake.gap("BTC-USDT", newest - 20, newest - 20)
            await_until(lambda: newest - 20 in reader.ids()["BTCUSDT"], 90, "one more id")
        finally:
            running.send_signal(signal.SIGTERM)
    assert running.returncode == 0
    # What was published is not asked for again while the lake has not carried it.
    assert len(reader.ids()["BTCUSDT"]) <= 2 * len(wanted) + 1


def test_ranges_without_what_is_held() -> None:
    assert ranges_without(1, 9, []) == [(1, 9)]
    assert ranges_without(1, 9, [5, 1, 2, 9]) == [(3, 4), (6, 8)]
    assert ranges_without(1, 3, [1, 2, 3]) == []


def zipped(path: Path, content: bytes, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or (path.with_suffix(".csv").name,):
            archive.writestr(name, content)
    return path


def lines(count: int) -> bytes:
    return b"".join(b"%d,1.5,2,3.0,1723161254123456,True,True\n" % number for number in range(count))


def test_a_dump_is_published_line_by_line_as_it_came(tmp_path: Path, kafka: str, read_topic: Read) -> None:
    settings = load_settings(home=tmp_path / "home")
    path = zipped(tmp_path / "BTCUSDT-trades-2024-08-09.zip", content := lines(2500))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".CHECKSUM").write_text(f"{sha256}  {path.name}\n")
    reader = read_topic("binance.trade_dump")
    told = publish_dump(open_dump(path), settings, kafka)
    assert (told.lines, told.frames) == (2500, 3)
    messages = sorted(reader.read(), key=lambda message: int(message.headers["sequence"]))
    assert b"".join(message.value for message in messages) == content
    assert [message.value.count(b"\n") for message in messages] == [1000, 1000, 500]
    facts = {(m.key, m.headers["session_id"], m.headers["origin"], m.headers["channel"]) for m in messages}
    assert facts == {("BTCUSDT", sha256, "backfill", "trade_dump")}
    assert publish_dump(open_dump(path), settings, kafka) == told


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("trades.zip", None, r"trades\.zip is not named like a dump .* Name its symbol with --symbol"),
        ("BTCUSDT-trades-2024-08-09.zip", "cut", r"The dump BTCUSDT-.* is damaged \(.*\)\. Fetch it again"),
        ("BTCUSDT-trades-2024-08-09.zip", "flip", r"is damaged \(.*\)"),
        ("BTCUSDT-trades-2024-08-09.zip", "text", r"is damaged \(File is not a zip file\)"),
        ("BTCUSDT-trades-2024-08-09.zip", "two", r"holds 2 files, a dump holds one"),
        ("BTCUSDT-trades-2024-08-09.zip", "sum", r"has another sha256 than BTCUSDT-.*CHECKSUM says"),
        ("BTCUSDT-trades-2024-08-09.zip", "gone", r"cannot be read \(No such file"),
    ],
)
def test_a_dump_that_is_not_whole_is_refused_before_a_line_is_published(
    tmp_path: Path, name: str, damage: str | None, told: str
) -> None:
    path = zipped(tmp_path / name, lines(3000), *(("a.csv", "b.csv") if damage == "two" else ()))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[len(data) // 3] ^= 0x55
        path.write_bytes(data)
    elif damage == "text":
        path.write_bytes(b"<html>404</html>")
    elif damage == "sum":
        path.with_name(path.name + ".CHECKSUM").write_text("0" * 64 + f"  {name}\n")
    elif damage == "gone":
        path.unlink()
    with pytest.raises(CryptolakeError, match=told):
        open_dump(path)


def test_a_symbol_may_be_named_when_the_file_lacks_it(tmp_path: Path) -> None:
    path = zipped(tmp_path / "day.zip", lines(1))
    assert open_dump(path, "ETHUSDT").symbol == "ETHUSDT"
    with pytest.raises(CryptolakeError, match="'eth/usdt' is no symbol"):
        open_dump(path, "eth/usdt")
