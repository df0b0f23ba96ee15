"""Tapes and candles through the same spool and topics."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bronze_kit import TopicReader, broker_of_its_own, topic_readers
from kafka.admin import KafkaAdminClient
from simulator_process import SimulatorProcess

from bronze.klines import backfill_klines
from bronze.tape import replay
from bronze.topics import ensure_topics, topic_ids
from lakehouse.errors import CryptolakeError
from lakehouse.home import home_kind
from lakehouse.settings import Settings, load_settings

Read = Callable[[str], TopicReader]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: what is published here must not be found by tests of the lake."""
    with broker_of_its_own(tmp_path_factory.mktemp("batches")) as local:
        running = local._files.running()  # noqa: SLF001 - its address
        assert running is not None
        yield running.bootstrap_servers


@pytest.fixture
def read_topic(kafka: str) -> Iterator[Read]:
    with topic_readers(kafka) as open_reader:
        yield open_reader


def facts(reader: TopicReader) -> list[tuple[Any, ...]]:
    names = ("session_id", "sequence", "received_at_us", "origin", "venue", "channel")
    return sorted((m.key, m.value, *(m.headers[name] for name in names)) for m in reader.read())


def test_two_replays_of_a_tape_are_the_same_messages_twice(
    settings: Settings, kafka: str, read_topic: Read, recorded_data: Path
) -> None:
    tape = recorded_data / "binance_spot_btcusdt_trades.jsonl.gz"
    reader = read_topic("binance.trade")
    began_ms = time.time() * 1000
    first = replay(tape, "binance", settings, kafka)
    assert first.frames == 19_904
    once = facts(reader)
    assert len(once) == 19_904
    second = replay(tape, "binance", settings, kafka)
    assert second == first
    twice = facts(reader)
    assert twice == sorted([*once, *once])
    with gzip.open(tape) as file:
        lines = [json.loads(line) for line in file]
    by_sequence = sorted(once, key=lambda fact: int(fact[3]))
    assert [fact[1] for fact in by_sequence] == [line["frame"].encode() for line in lines]
    assert [int(fact[4]) for fact in by_sequence] == [line["received_ns"] // 1000 for line in lines]
    assert {fact[0] for fact in once} == {"btcusdt@trade"}
    assert {fact[5:] for fact in once} == {("replay", "binance", "trade")}
    # An old tape must not fall to retention: the record's time is that of the replay.
    assert min(message.timestamp_ms for message in reader.messages) >= began_ms - 1000
    assert home_kind(settings) is None


def test_bare_coincap_frames_go_to_the_topics_of_their_exchanges(
    settings: Settings, kafka: str, read_topic: Read, recorded_data: Path
) -> None:
    tape = recorded_data / "coincap_v2_trades.jsonl"
    lines = tape.read_bytes().splitlines()
    exchanges = sorted({json.loads(line)["exchange"] for line in lines})
    readers = {exchange: read_topic(f"coincap-{exchange}.trade") for exchange in exchanges}
    replayed = replay(tape, "coincap", settings, kafka)
    assert replayed.frames == 13
    got = {exchange: facts(reader) for exchange, reader in readers.items()}
    for exchange, messages in got.items():
        assert [m[1] for m in messages] == sorted(
            (line for line in lines if json.loads(line)["exchange"] == exchange), key=lambda m: dict_key(m)
        )
        assert {message[6] for message in messages} == {f"coincap-{exchange}"}
    now_us = time.time_ns() // 1000
    assert all(now_us - 120_000_000 < int(m[4]) <= now_us for messages in got.values() for m in messages)
    assert sorted(int(m[3]) for messages in got.values() for m in messages) == list(range(1, 14))


def test_a_recording_of_bybit_is_told_apart_by_category_and_what_the_recorder_sent_is_left_out(
    settings: Settings, kafka: str, read_topic: Read, recorded_data: Path
) -> None:
    tape = recorded_data / "bybit_v5_frames.jsonl.gz"
    readers = {name: read_topic(name) for name in ("bybit-spot.trade", "bybit-linear.trade")}
    replayed = replay(tape, "bybit", settings, kafka)
    assert replayed.topics.pop("bybit-spot.control") == 24
    assert sum(replayed.topics.values()) == 120
    with gzip.open(tape) as file:
        lines = {number: json.loads(line) for number, line in enumerate(file, start=1)}
    categories = {line["conn"]: line["addr"].rpartition("/")[2] for line in lines.values() if line["t"] == "send"}
    for name, reader in readers.items():
        for key, payload, _, sequence, received_us, *rest in facts(reader):
            said = lines[int(sequence)]
            assert payload == said["data"].encode()
            assert int(received_us) == round(said["ts"] * 1e6)
            assert (key, rest) == (json.loads(payload)["topic"], ["replay", name.partition(".")[0], "trade"])
            assert name == f"bybit-{categories[said['conn']]}.trade"


def dict_key(line: bytes) -> tuple[str, bytes]:
    content = json.loads(line)
    return f"{content['base']}-{content['quote']}", line


def test_packed_and_plain_copies_are_one_session_and_bad_lines_go_on_as_they_are(
    settings: Settings, kafka: str, read_topic: Read, tmp_path: Path
) -> None:
    lines = [
        b'{"received_ns": 1723161254087896568, "frame": "{\\"result\\":null,\\"id\\":1}"}',
        b'{"received_ns": 1, "frame": 5}',
        b'{"received_ns": 1, "frame": "cut off',
        b"",
        b"not json \xff",
    ]
    plain, packed = tmp_path / "tape.jsonl", tmp_path / "tape.jsonl.gz"
    plain.write_bytes(b"\r\n".join(lines))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    trades, control = read_topic("binance.trade"), read_topic("binance.control")
    a, b = replay(plain, "binance", settings, kafka), replay(packed, "binance", settings, kafka)
    assert a == b
    assert a.topics == {"binance.control": 1, "binance.trade": 3}
    assert {(m.value, m.headers["sequence"]) for m in trades.read()} == {
        (lines[1], "2"),
        (lines[2], "3"),
        (lines[4], "5"),
    }
    (message,) = {(m.value, m.headers["received_at_us"]) for m in control.read()}
    assert message == (b'{"result":null,"id":1}', "1723161254087896")


def test_a_tape_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(CryptolakeError, match=r"nowhere\.jsonl cannot be read"):
        replay(tmp_path / "nowhere.jsonl", "binance", settings, "127.0.0.1:1")
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(b"x" * 10_000)[:-6])
    with pytest.raises(CryptolakeError, match="is damaged"):
        replay(damaged, "binance", settings, "127.0.0.1:1")
    with pytest.raises(CryptolakeError, match="No source"):
        replay(damaged, "bybit2", settings, "127.0.0.1:1")


def test_a_replay_without_a_broker_gives_up_and_goes_out_with_the_next_one(
    settings: Settings, kafka: str, read_topic: Read, tmp_path: Path
) -> None:
    tape = tmp_path / "tape.jsonl"
    tape.write_bytes(b'{"result":null,"id":77}\n')
    impatient = settings.model_copy(
        update={"collector": settings.collector.model_copy(update={"publish_stall_s": 0.5})}
    )
    with pytest.raises(CryptolakeError, match=r"Kafka does not take the records.*stay in the spool"):
        replay(tape, "binance", impatient, "127.0.0.1:1")
    control = read_topic("binance.control")
    tape.write_bytes(b'{"result":null,"id":78}\n')
    replay(tape, "binance", settings, kafka)
    assert [message.value for message in control.read()] == [b'{"result":null,"id":77}', b'{"result":null,"id":78}']


def test_klines_bring_every_closed_minute_of_every_symbol(
    simulator: Callable[..., SimulatorProcess], tmp_path: Path, kafka: str, read_topic: Read, monkeypatch: Any
) -> None:
    market = simulator(symbols=3)
    monkeypatch.setenv("CRYPTOLAKE__VENUES__BINANCE__WS_URL", market.urls["ws_url"])
    monkeypatch.setenv("CRYPTOLAKE__VENUES__BINANCE__REST_URL", market.urls["rest_url"])
    monkeypatch.setenv("CRYPTOLAKE__VENUES__BINANCE__SYMBOLS", '["BTCUSDT", "ETHUSDT", "SOLUSDT"]')
    settings = load_settings(home=tmp_path / "home")
    reader = read_topic("binance.kline")
    done: list[tuple[int, int, str]] = []
    result = backfill_klines(settings, kafka, days=1, progress=lambda *step: done.append(step))
    assert done == [(1, 3, "BTCUSDT"), (2, 3, "ETHUSDT"), (3, 3, "SOLUSDT")]
    assert (result.symbols, result.candles, result.pages) == (3, 3 * 1440, 6)
    messages = reader.read()
    assert {m.headers["origin"] for m in messages} == {"backfill"}
    assert sorted(int(m.headers["sequence"]) for m in messages) == list(range(6))
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        rows = sorted(row for m in messages if m.key == symbol for row in json.loads(m.value))
        opens = [row[0] for row in rows]
        assert opens == list(range(opens[0], opens[0] + 1440 * 60_000, 60_000))
        assert rows[-1][6] < time.time() * 1000  # the newest one is closed
        assert rows[-1][6] > (time.time() - 180) * 1000
    assert home_kind(settings) == "simulated"


def test_topics_get_partitions_and_retention_and_are_never_made_by_themselves(kafka: str, unique: str) -> None:
    settings = load_settings()
    topic = f"{unique}.trade"
    ensure_topics(settings, kafka, [topic])
    ensure_topics(settings, kafka, [topic])
    ids = topic_ids(settings, kafka)
    assert topic in ids
    assert all(ids.values())
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    (described,) = admin.describe_topics([topic])
    assert len(described["partitions"]) == settings.kafka.partitions
    admin.delete_topics([topic])
    admin.close()
    ensure_topics(settings, kafka, [topic])
    assert topic_ids(settings, kafka)[topic] != ids[topic]


def test_without_a_broker_topics_say_so(unique: str) -> None:
    with pytest.raises(CryptolakeError, match=r"No Kafka broker answers at 127\.0\.0\.1:1"):
        topic_ids(load_settings(), "127.0.0.1:1")
