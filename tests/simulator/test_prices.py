"""CoinGecko's and CoinCap's prices: one market, two services, each with its own quirks and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import websocket
from simulator_process import SimulatorProcess

Simulate = Callable[..., SimulatorProcess]
ASKED = "vs_currencies=usd&include_24hr_vol=true&include_24hr_change=true&include_last_updated_at=true"
UNLIMITED = "coingecko_calls_per_minute=1000000"


def prices(market: SimulatorProcess, ids: str, precision: str = "full") -> dict[str, Any]:
    return dict(market.api(f"simple/price?ids={ids}&{ASKED}&precision={precision}"))


def test_coingecko_states_the_market_in_numbers_and_leaves_out_what_it_does_not_know(simulator: Simulate) -> None:
    market = simulator(symbols=20, rate=100, limits=UNLIMITED)
    ids = "bitcoin,ripple,shiba-inu,binancecoin,no-such-coin"
    found = prices(market, ids)
    assert list(found) == ["bitcoin", "ripple", "shiba-inu", "binancecoin"]
    last = {row["symbol"]: float(row["lastPrice"]) for row in market.api("ticker/24hr")}
    for coin, symbol in (("bitcoin", "BTCUSDT"), ("ripple", "XRPUSDT"), ("shiba-inu", "SHIBUSDT")):
        assert found[coin]["usd"] == pytest.approx(last[symbol], rel=0.03)
        assert isinstance(found[coin]["last_updated_at"], int)
    assert len(repr(found["shiba-inu"]["usd"]).replace(".", "").partition("e")[0]) > 10, "all digits of a double"
    listed = market.api("coins/markets?vs_currency=usd&per_page=3&page=1&precision=full")
    assert [row["market_cap_rank"] for row in listed] == [1, 2, 3]
    missing = market.get("/api/v3/simple/price?ids=bitcoin")
    assert missing.status == 422


def test_coingecko_says_the_same_of_a_coin_on_every_way_until_it_is_renewed(simulator: Simulate) -> None:
    market = simulator(symbols=20, rate=100, limits=UNLIMITED)
    ids = "bitcoin,ripple,shiba-inu"
    before: Any = None
    while before != (found := prices(market, ids)):  # a coin may be renewed between two questions: then all over again
        before = found
        rounded = prices(market, "ripple", "2")
        some = prices(market, "bitcoin,ripple")
        (bitcoin,) = market.api("coins/markets?vs_currency=usd&ids=bitcoin&precision=full")
    assert rounded["ripple"]["usd"] == round(found["ripple"]["usd"], 2)
    assert some == {coin: found[coin] for coin in ("bitcoin", "ripple")}
    assert bitcoin["current_price"] == found["bitcoin"]["usd"]
    assert bitcoin["last_updated"].endswith("Z")


def test_coingecko_renews_a_coin_once_a_minute_of_market_time_and_has_no_change_now_and_then(
    simulator: Simulate,
) -> None:
    market = simulator(symbols=20, start_back_s=7_200, speed=600, limits=UNLIMITED)  # ten market minutes a second
    seen: dict[tuple[str, int], Any] = {}
    ids = "bitcoin,ethereum,solana,ripple,dogecoin,litecoin,tron,uniswap"
    while len(seen) < 120:
        for coin, stated in prices(market, ids).items():
            key = (coin, stated["last_updated_at"])
            assert seen.setdefault(key, stated) == stated
    for coin in ids.split(","):
        times = sorted(at for name, at in seen if name == coin)
        assert all((later - earlier) % 60 == 0 for earlier, later in pairwise(times))
    assert any(stated["usd_24h_change"] is None for stated in seen.values())
    whole = [stated["usd"] for (coin, _), stated in seen.items() if coin == "bitcoin"]
    assert {type(price) for price in whole} == {int, float}


def test_coingecko_counts_calls_a_minute(simulator: Simulate) -> None:
    market = simulator(symbols=2, limits="coingecko_calls_per_minute=3")
    answers = [market.get(f"/api/v3/simple/price?ids=bitcoin&{ASKED}") for _ in range(8)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.body["status"]["error_code"] == 429
    assert market.get("/api/v3/ping").status == 200, "Binance counts for itself"


@pytest.mark.parametrize(
    ("kind", "status", "start"),
    [
        ("403", 403, b"<html>"),
        ("418", 418, b'{"code"'),
        ("text", 200, b"Unauthorized"),
        ("deprecation", 200, b'{"data"'),
    ],
)
def test_a_source_refuses_on_demand_and_the_others_do_not(
    simulator: Simulate, kind: str, status: int, start: bytes
) -> None:
    market = simulator(symbols=2, limits=UNLIMITED)
    market.fault(refuse=kind, source="coingecko", times=2, retry_after_s=9)
    assert market.get("/api/v3/ping").status == 200
    for _ in range(2):
        answer = market.raw(f"/api/v3/simple/price?ids=bitcoin&{ASKED}")
        assert (answer.status, answer.headers["Retry-After"]) == (status, "9")
        assert answer.body.startswith(start)
    assert prices(market, "bitcoin")["bitcoin"]["usd"] > 0
    assert market.status()["faults_committed"] == {f"refused {kind}": 2}


def test_coincap_prices_take_the_key_and_hold_some_of_the_assets_asked_for(
    simulator: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLAKE__SIMULATOR__COINCAP_PRICES_EVERY_S", "0.05")
    market = simulator(symbols=20)
    url = f"{market.urls['coincap_price_ws_url']}/prices"
    socket = websocket.create_connection(f"{url}?assets=ALL&apiKey={market.urls['coincap_api_key']}", timeout=10)
    messages = [json.loads(socket.recv())]
    while "bitcoin" not in messages[-1] or len(messages) < 6:
        messages.append(json.loads(socket.recv()))
    last = float(market.api("ticker/24hr?symbol=BTCUSDT")["lastPrice"])
    assert all(isinstance(price, str) for message in messages for price in message.values())
    assert float(messages[-1]["bitcoin"]) == pytest.approx(last, rel=0.01)
    assert {len(message) for message in messages} == {7}, "17 assets in USDT, of which four in ten"
    socket.close()
    one = websocket.create_connection(f"{url}?assets=bitcoin,nonsense&apiKey=simulated", timeout=10)
    assert list(json.loads(one.recv())) == ["bitcoin"]
    market.fault(cut="abort", venue="coincap-prices")
    with pytest.raises((ConnectionError, websocket.WebSocketException)):
        one.recv()
    wrong = websocket.create_connection(f"{url}?assets=ALL&apiKey=wrong", timeout=10)
    assert wrong.recv().startswith("Unauthorized")
    assert wrong.recv() == "", "closed"
    market.fault(refuse="403", source="coincap")
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(f"{url}?assets=ALL&apiKey=simulated", timeout=10)
    assert refused.value.status_code == 403
