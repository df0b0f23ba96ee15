"""What Binance's symbols stand for, asked of the simulated venue and read from the spool."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bronze_kit import await_until
from simulator_process import SimulatorProcess, simulated_urls

from bronze.listing import Listing
from bronze.record import Record
from bronze.spool import Spool
from lakehouse.settings import Settings, load_settings
from silver.parse import parse_frame
from silver.rows import Frame


@pytest.fixture
def venue(
    simulator: Callable[..., SimulatorProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Settings]:
    def settings(**keys: str) -> Settings:
        for name, value in simulated_urls(simulator().urls).items():
            monkeypatch.setenv(name, value)
        for key, text in keys.items():
            monkeypatch.setenv(f"CRYPTOLAKE__VENUES__BINANCE__{key}", text)
        return load_settings(home=tmp_path / "home")

    return settings


@contextmanager
def listing(settings: Settings, spool: Spool) -> Iterator[Listing]:
    stop = threading.Event()
    thread = Listing(spool, settings, stop)
    thread.start()
    yield thread
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert thread.error is None


def records(spool: Spool) -> list[Record]:
    return [record for _, _, record in spool.read(spool.acked)]


def test_the_configured_symbols_are_asked_for_at_the_start_and_again_after_the_interval(
    venue: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = venue(SYMBOLS='["BTCUSDT","ETHBTC"]', LISTING_INTERVAL_S="0.2")
    with Spool(tmp_path / "spool", settings.spool) as spool, listing(settings, spool):
        await_until(lambda: len(records(spool)) >= 2, 20, "two answers")
        found = records(spool)
    assert [(r.venue, r.channel, r.key, r.sequence) for r in found[:2]] == [
        ("binance", "symbols", "exchangeInfo", 0),
        ("binance", "symbols", "exchangeInfo", 1),
    ]
    first = found[0]
    assert [item["symbol"] for item in json.loads(first.payload)["symbols"]] == ["BTCUSDT", "ETHBTC"]
    headers = (first.venue, first.channel, first.key, first.session_id, first.sequence, first.received_at_us)
    rows = parse_frame(Frame(*headers, first.origin, first.payload))
    assert [(row.venue_symbol, row.symbol, row.since) for row in rows] == [  # type: ignore[union-attr]
        ("BTCUSDT", "BTC-USDT", first.received_at_us),
        ("ETHBTC", "ETH-BTC", first.received_at_us),
    ]


def test_a_symbol_that_is_not_listed_hinders_no_other(
    venue: Callable[..., Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = venue(SYMBOLS='["BTCUSDT","NOSUCH","ETHBTC"]')
    with Spool(tmp_path / "spool", settings.spool) as spool, listing(settings, spool):
        await_until(lambda: len(records(spool)) >= 2, 20, "two answers")
        found = [item["symbol"] for record in records(spool) for item in json.loads(record.payload)["symbols"]]
    assert found == ["BTCUSDT", "ETHBTC"]
    assert "does not list NOSUCH" in caplog.text


def test_a_venue_that_refuses_is_asked_again_and_nothing_is_put_into_the_spool(
    simulator: Callable[..., SimulatorProcess],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    market = simulator()
    for name, value in simulated_urls(market.urls).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRYPTOLAKE__COLLECTOR__BACKOFF_S", "0.1")
    market.fault(rest_failures=2)
    settings = load_settings(home=tmp_path / "home")
    with Spool(tmp_path / "spool", settings.spool) as spool, listing(settings, spool):
        await_until(lambda: len(records(spool)) >= 1, 20, "an answer")
    assert caplog.text.count("could not be fetched") == 2
