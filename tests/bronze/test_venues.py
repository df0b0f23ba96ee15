"""What is taken from frames without parsing them: exactly what silver would read, nothing from anything else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bronze.collector import collect
from bronze.venues import VENUES, venue_of
from bronze.venues.protocol import Envelope
from lakehouse.errors import CryptolakeError
from lakehouse.home import claim_home, home_kind, is_loopback, kind_of
from lakehouse.settings import Settings

TRADE = (
    b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",'
    b'"T":1723161255342,"m":true,"M":true}'
)
COMBINED = b'{"stream":"btcusdt@trade","data":' + TRADE + b"}"
OLD = TRADE.replace(b'"T":', b'"b":1,"a":2,"T":')
HELD = Envelope("binance", "trade", "btcusdt@trade", "BTCUSDT", 3735683259, 3735683259)


def binance(frame: bytes) -> Envelope:
    return venue_of("binance").envelope(frame, None)


def coincap(frame: bytes, venue: str | None = None) -> Envelope:
    return venue_of("coincap").envelope(frame, venue)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(TRADE, id="raw"),
        pytest.param(COMBINED, id="combined"),
        pytest.param(OLD, id="schema of 2023"),
        pytest.param(json.dumps(json.loads(COMBINED)).encode(), id="blanks"),
        pytest.param(TRADE.replace(b'"m"', b'"new":{"field":1},"m"'), id="a new field"),
    ],
)
def test_a_trade_names_its_stream_and_id(frame: bytes) -> None:
    assert binance(frame) == HELD


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[1]",
        TRADE[:80],
        TRADE + TRADE,
        TRADE + b"}",
        COMBINED[:-1],
        b"[" * 100_000,
        TRADE.replace(b'"m":true', b'"m":"true"'),
        TRADE.replace(b'"61837.63000000"', b"61837.63"),
        TRADE.replace(b"61837.63000000", b"0.00000000"),
        TRADE.replace(b"61837.63000000", b"-1"),
        TRADE.replace(b"61837.63000000", b"1e5"),
        TRADE.replace(b"61837.63000000", b"1.0000000000001"),
        TRADE.replace(b"61837.63000000", b"1" * 13),
        TRADE.replace(b"0.02000000", b"0.000000001"),
        TRADE.replace(b"3735683259", b"1.5"),
        TRADE.replace(b"3735683259", b"-1"),
        TRADE.replace(b"3735683259", b'"1"'),
        TRADE.replace(b"3735683259", b"true"),
        TRADE.replace(b"3735683259", b"9" * 19),
        TRADE.replace(b'"T":1723161255342,', b""),
        TRADE.replace(b'"m":true', b'"m":true,"t":7'),
        TRADE.replace(b'"BTCUSDT"', b'""'),
        TRADE.replace(b'"trade"', b'"aggTrade"'),
    ],
)
def test_a_frame_that_silver_cannot_read_goes_on_as_a_trade_but_holds_no_id(frame: bytes) -> None:
    envelope = binance(frame)
    assert (envelope.venue, envelope.channel) == ("binance", "trade")
    assert (envelope.symbol, envelope.first_id, envelope.last_id) == ("", -1, -1)


def test_no_malformed_frame_of_the_simulator_holds_an_id() -> None:
    malformed = pytest.importorskip("simulator.malformed")
    for name, corrupt in malformed.KINDS.items():
        body = corrupt(TRADE)
        assert binance(body).first_id == -1, name
        assert binance(b'{"stream":"btcusdt@trade","data":' + body + b"}").first_id == -1, name


@pytest.mark.parametrize(
    ("frame", "rotate"),
    [
        (b'{"result":null,"id":1}', False),
        (b'{"code":2,"msg":"Invalid request: x","id":1}', False),
        (b'{"e":"serverShutdown","E":1723161255343}', True),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1723161255343}}', True),
    ],
)
def test_what_is_no_data_is_control(frame: bytes, rotate: bool) -> None:
    envelope = binance(frame)
    assert (envelope.channel, envelope.rotate, envelope.first_id) == ("control", rotate, -1)


def test_every_recorded_frame_is_understood_at_once(recorded_data: Path) -> None:
    with gzip.open(recorded_data / "binance_spot_btcusdt_trades.jsonl.gz") as tape:
        ids = [binance(json.loads(line)["frame"].encode()).first_id for line in tape]
    assert ids == list(range(3735683259, 3735703163))


def test_coincap_frames_name_exchange_and_pair(recorded_data: Path) -> None:
    lines = (recorded_data / "coincap_v2_trades.jsonl").read_bytes().splitlines()
    for line in lines:
        content = json.loads(line)
        envelope = coincap(line)
        assert envelope.venue == f"coincap-{content['exchange']}"
        assert envelope.key == f"{content['base']}-{content['quote']}"
        assert envelope.event_time_us == content["timestamp"] * 1000
        assert envelope.first_id == -1


def test_a_coincap_frame_that_says_nothing_belongs_to_its_connection() -> None:
    assert coincap(b"Unauthorized", "coincap-bitso") == Envelope("coincap-bitso", "trade", "")
    assert coincap(b'{"exchange":"../../x","base":"b","quote":"q"}') == Envelope("coincap", "trade", "")


def test_live_coincap_says_what_there_is_instead(settings: Settings) -> None:
    with pytest.raises(CryptolakeError, match=r"2025-03-31.*cryptolake replay.*prices"):
        collect("coincap", settings, "127.0.0.1:1", None)  # type: ignore[arg-type]
    assert not settings.home.exists()


def test_an_unknown_source_is_refused_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(CryptolakeError, match="binance, coincap"):
        collect("mtgox", settings, "127.0.0.1:1", None)  # type: ignore[arg-type]
    assert set(VENUES) == {"binance", "coincap"}


def test_a_home_is_simulated_or_real_for_good(settings: Settings) -> None:
    assert home_kind(settings) is None
    claim_home(settings, "simulated")
    claim_home(settings, "simulated")
    assert home_kind(settings) == "simulated"
    assert json.loads((settings.home / "home.json").read_text()) == {"kind": "simulated"}
    with pytest.raises(CryptolakeError, match="holds simulated data"):
        collect("binance", settings, "127.0.0.1:1", None)  # type: ignore[arg-type]


def test_loopback_is_simulated_and_a_mixture_is_refused() -> None:
    assert [is_loopback(url) for url in ("ws://127.0.0.1:1", "http://[::1]:2", "ws://localhost/x")] == [True] * 3
    assert not is_loopback("wss://stream.binance.com:9443")
    assert kind_of(["wss://stream.binance.com:9443", "https://api.binance.com"]) == "real"
    with pytest.raises(CryptolakeError, match="partly"):
        kind_of(["ws://127.0.0.1:1", "https://api.binance.com"])
