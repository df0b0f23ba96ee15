"""What is taken from frames without parsing them: exactly what silver would read, nothing from anything else."""

from __future__ import annotations

import gzip
import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from pydantic import SecretStr

from bronze.collector import collect
from bronze.rest import RestError, retry_after_s
from bronze.venues import POLLED, SOURCES, VENUES, venue_of
from bronze.venues.binance_tickers import greatest, weight_of
from bronze.venues.protocol import Envelope, Heartbeat
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
    with pytest.raises(CryptolakeError, match=r"2025-03-31.*COINCAP__API_KEY.*cryptolake replay"):
        collect("coincap", settings, "127.0.0.1:1", None)  # type: ignore[arg-type]
    assert not settings.home.exists()


def test_an_unknown_source_is_refused_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(CryptolakeError, match="binance, bybit, coincap, tickers, coingecko"):
        collect("mtgox", settings, "127.0.0.1:1", None)  # type: ignore[arg-type]
    assert (*VENUES, *POLLED) == SOURCES == ("binance", "bybit", "coincap", "tickers", "coingecko")
    with pytest.raises(CryptolakeError, match=r"polled.*Take binance, bybit, coincap"):
        venue_of("tickers")


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


def with_coincap(settings: Settings, **changes: object) -> Settings:
    coincap = settings.venues.coincap.model_copy(update=changes)
    return settings.model_copy(update={"venues": settings.venues.model_copy(update={"coincap": coincap})})


def test_coincap_prices_come_with_a_key_and_trades_from_a_simulator_only(settings: Settings) -> None:
    key = SecretStr("s3cret")
    feeds = venue_of("coincap").feeds(with_coincap(settings, api_key=key))
    assert [feed.venue for feed in feeds] == ["coincap"]
    assert feeds[0].url.startswith("wss://wss.coincap.io/prices?assets=bitcoin,ethereum,")
    assert feeds[0].secret.get_secret_value() == "&apiKey=s3cret"
    assert "s3cret" not in repr(feeds)
    assert feeds[0].redacted("GET /prices?assets=ALL&apiKey=s3cret: no s3cret") == "GET /prices?assets=ALL***: no ***"
    simulated = with_coincap(settings, ws_url="ws://127.0.0.1:1", price_ws_url="ws://127.0.0.1:1")
    assert len(venue_of("coincap").feeds(simulated)) == 5
    assert len(venue_of("coincap").feeds(with_coincap(simulated, api_key=key))) == 6
    with pytest.raises(CryptolakeError, match="partly"):  # a key for the real venue never meets a simulated one
        kind_of(venue_of("coincap").urls(with_coincap(settings, api_key=key, ws_url="ws://127.0.0.1:1")))


@pytest.mark.parametrize(
    ("frame", "channel", "refused"),
    [
        (b'{"bitcoin":"6929.82","ethereum":"404.97"}', "price", ""),
        (b"{}", "price", ""),
        (b"Service Unavailable", "price", ""),
        (b"Unauthorized: no\ncredit", "control", "Unauthorized: no credit"),
        (
            b'{"data":{"message":"We are deprecating this"},"timestamp":1744796832910}',
            "control",
            "We are deprecating this",
        ),
        (b'{"data":{"message":', "price", ""),
    ],
)
def test_coincap_says_prices_or_why_not(frame: bytes, channel: str, refused: str) -> None:
    assert coincap(frame, "coincap") == Envelope("coincap", channel, "prices", refused=refused)


def test_a_taped_message_of_prices_is_known_as_one() -> None:
    assert coincap(b'{"bitcoin":"6929.82"}') == Envelope("coincap", "price", "prices")


def test_the_real_coingecko_is_not_asked_more_often_than_its_answers_change(settings: Settings) -> None:
    def with_interval(**changes: object) -> Settings:
        coingecko = settings.venues.coingecko.model_copy(update=changes)
        return settings.model_copy(update={"venues": settings.venues.model_copy(update={"coingecko": coingecko})})

    with pytest.raises(CryptolakeError, match=r"asks every 59 s.*every 60 s"):
        collect("coingecko", with_interval(interval_s=59.0), "127.0.0.1:1", None)  # type: ignore[arg-type]
    with pytest.raises(CryptolakeError, match="names 0 coins"):
        collect("coingecko", with_interval(ids=()), "127.0.0.1:1", None)  # type: ignore[arg-type]
    POLLED["coingecko"].refuse_dead_feed(with_interval(interval_s=5.0, url="http://127.0.0.1:1"))


def test_the_greatest_pairs_of_one_quote_asset_are_found() -> None:
    volumes = {"BTCUSDT": "9.5", "ETHUSDT": "10", "ETHBTC": "99", "USDT": "8", "AAAUSDT": "9.50", "SOLUSDT": "0.1"}
    body = json.dumps([{"symbol": name, "quoteVolume": volume} for name, volume in volumes.items()]).encode()
    assert greatest(body, "USDT", 3) == ["ETHUSDT", "AAAUSDT", "BTCUSDT"]
    for bad in (b'{"code":-1003}', b"<html>", b"[{}]", b'[{"symbol":"BTCUSDT","quoteVolume":"x"}]', b"[]"):
        with pytest.raises(RestError):
            greatest(bad, "USDT", 3)
    assert [weight_of(n) for n in (1, 20, 21, 100, 101)] == [2, 2, 40, 40, 80]


def test_retry_after_is_seconds_or_a_date() -> None:
    assert [retry_after_s(header) for header in (None, "", "7", "soon", "Mon, 01 Jan 2001 00:00:00 GMT")] == [
        0,
        0,
        7,
        0,
        0,
    ]
    assert 3500 < retry_after_s(formatdate(time.time() + 3600, usegmt=True)) <= 3600


BYBIT_FILL = (
    '{"T":1786310819680,"s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick",'
    '"i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,"RPI":false,"seq":753843954913}'
)


def bybit(*fills: str, venue: str | None = "bybit-linear", topic: str = "publicTrade.BTCUSDT") -> Envelope:
    frame = f'{{"topic":"{topic}","type":"snapshot","ts":1786310819681,"data":[{",".join(fills)}]}}'
    return venue_of("bybit").envelope(frame.encode(), venue)


def test_a_bybit_frame_holds_the_numbers_of_its_order_from_the_least_to_the_greatest() -> None:
    later = BYBIT_FILL.replace("753843954913", "753843954920").replace("1786310819680", "1786310819690")
    key, us = "publicTrade.BTCUSDT", 1786310819690_000
    held = Envelope("bybit-linear", "trade", key, "BTCUSDT", 753843954913, 753843954920, us)
    assert bybit(BYBIT_FILL, later) == held
    assert bybit(BYBIT_FILL, later, venue=None) == held
    digits = BYBIT_FILL.replace("a9188a0a-82bc-50de-be60-03eedbe3cdd7", "2290000001189048101")
    assert bybit(digits, venue=None).venue == "bybit-spot"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"a9188a0a-82bc-50de-be60-03eedbe3cdd7"', '""'),
        ('"a9188a0a-82bc-50de-be60-03eedbe3cdd7"', "7"),
        ('"65114.20"', '"0"'),
        ('"65114.20"', "65114.20"),
        ('"0.004"', '"1e3"'),
        ("1786310819680", "1786310819"),
        ("1786310819680", '"1786310819680"'),
        ("753843954913", '"753843954913"'),
        ("753843954913", "-1"),
        ('"BTCUSDT"', '"ETHUSDT"'),
        ('"Sell"', '"sell"'),
        ('"BT":false', '"BT":false,"p":"1"'),
        ("}", ""),
    ],
)
def test_a_bybit_frame_with_a_trade_that_silver_refuses_holds_nothing(old: str, new: str) -> None:
    assert bybit(BYBIT_FILL, BYBIT_FILL.replace(old, new)).symbol == ""
    assert bybit(BYBIT_FILL, BYBIT_FILL.replace(old, new)).event_time_us == 0


def test_what_bybit_says_beside_trades_is_control_and_a_refusal_is_heard() -> None:
    venue = venue_of("bybit")
    pong = venue.envelope(b'{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}', "bybit-spot")
    assert pong == Envelope("bybit-spot", "control", "")
    refused = b'{"success":false,"ret_msg":"Invalid topic: [x]","conn_id":"c","op":"subscribe"}'
    assert venue.envelope(refused, "bybit-spot").complaint == "Invalid topic: [x]"
    assert bybit(BYBIT_FILL, topic="orderbook.50.BTCUSDT") == Envelope("bybit-linear", "trade", "orderbook.50.BTCUSDT")
    assert venue.envelope(b"\xff", None) == Envelope("bybit-spot", "trade", "")


def test_bybit_takes_a_connection_a_category_and_a_request_a_symbol(settings: Settings) -> None:
    bybit = settings.venues.bybit.model_copy(update={"spot_symbols": ("BTCUSDT", "ETHUSDT"), "linear_symbols": ()})
    only_spot = settings.model_copy(update={"venues": settings.venues.model_copy(update={"bybit": bybit})})
    (spot,) = venue_of("bybit").feeds(only_spot)
    assert venue_of("bybit").heartbeat(settings) == Heartbeat(20, '{"op":"ping"}')
    assert (spot.venue, spot.url) == ("bybit-spot", "wss://stream.bybit.com/v5/public/spot")
    assert [json.loads(message)["args"] for message in spot.subscriptions] == [
        ["publicTrade.BTCUSDT"],
        ["publicTrade.ETHUSDT"],
    ]
    assert [feed.venue for feed in venue_of("bybit").feeds(settings)] == ["bybit-spot", "bybit-linear"]
    none = only_spot.model_copy(
        update={"venues": settings.venues.model_copy(update={"bybit": bybit.model_copy(update={"spot_symbols": ()})})}
    )
    with pytest.raises(CryptolakeError, match="names no symbols"):
        venue_of("bybit").feeds(none)
