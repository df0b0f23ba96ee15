"""CoinGecko's public REST: prices in US dollars as JSON numbers, in seconds in one answer and ISO-8601 in the other."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from aiohttp import web

from simulator.catalogue import RANK, Symbol
from simulator.limits import Weights
from simulator.market import Market
from simulator.ticker import ticker_24h
from simulator.wire import compact

SOURCE = "coingecko"
_DAY_US = 86_400_000_000
_Answer = Callable[[web.Request], Any]
_IDS = {"binance-coin": "binancecoin", "xrp": "ripple", "avalanche": "avalanche-2", "near-protocol": "near"}
_WHOLE_FROM = 1_000  # a price from here on is a whole number now and then
_MOST_A_PAGE = 250


class CoinGecko:
    """Handlers of `/api/v3/simple/price` and `/api/v3/coins/markets`.

    Every coin is renewed once in `coingecko_cache_s` of market time, each at a moment of its own; until then all that
    is said of it stays the same. One renewal in ten has no 24 h change.

    Args:
        market: whose prices they are.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._coins = {coin_id(s): s for s in market.symbols.values() if s.quote == "USDT"}
        calls = market.settings.limits.coingecko_calls_per_minute
        never = {"weight_per_minute": calls, "refusals_before_ban": 1 << 30}  # it bans nobody
        self._calls = Weights(market.settings.limits.model_copy(update=never))
        self._kept: dict[str, dict[str, Any]] = {}
        self._now_us = market.clock.now_us()  # of the request being answered

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        answers: dict[str, _Answer] = {"simple/price": self.simple_price, "coins/markets": self.coins_markets}
        return [web.get(f"/api/v3/{path}", self._handler(answer)) for path, answer in answers.items()]

    def simple_price(self, request: web.Request) -> Any:
        """Answer `simple/price`: an object by id; an unknown id is left out without a word."""
        asked, query = _list(request, "ids"), request.query
        made = {}
        for name in dict.fromkeys(asked):
            if name in self._coins and "usd" in _list(request, "vs_currencies"):
                coin = self._renewed(name)
                fields = {"usd": _price(coin["price"], query.get("precision"))}
                if _flag(query, "include_market_cap"):
                    fields["usd_market_cap"] = coin["market_cap"]
                if _flag(query, "include_24hr_vol"):
                    fields["usd_24h_vol"] = coin["volume"]
                if _flag(query, "include_24hr_change"):
                    fields["usd_24h_change"] = coin["change"]
                if _flag(query, "include_last_updated_at"):
                    fields["last_updated_at"] = coin["updated_us"] // 1_000_000
                made[name] = fields
        return made

    def coins_markets(self, request: web.Request) -> Any:
        """Answer `coins/markets`: a list, by market cap."""
        asked, query = _list(request, "ids"), request.query
        names = [name for name in asked if name in self._coins] if asked else list(self._coins)
        size = min(int(query.get("per_page", 100)), _MOST_A_PAGE)
        first = (int(query.get("page", 1)) - 1) * size
        coins = sorted(((self._renewed(name), name) for name in names), key=lambda coin: -coin[0]["market_cap"])
        ranked = [
            _market_row(name, self._coins[name], coin, rank, query.get("precision"))
            for rank, (coin, name) in enumerate(coins, start=1)
        ]
        return ranked[first : first + size]

    def _renewed(self, name: str) -> dict[str, Any]:
        symbol, cache_us = self._coins[name], self._market.settings.coingecko_cache_s * 1_000_000
        own_us = (RANK[symbol.name] + 1) * 7_919_123 % cache_us
        updated_us = (self._now_us - own_us) // cache_us * cache_us + own_us
        kept = self._kept.get(name)
        if kept is None or kept["updated_us"] != updated_us:
            kept = self._kept[name] = self._made(symbol, updated_us, updated_us // cache_us)
        return kept

    def _made(self, symbol: Symbol, updated_us: int, number: int) -> dict[str, Any]:
        times = np.array([updated_us, updated_us - _DAY_US], dtype=np.int64)
        price, before = (math.exp(log) for log in self._market.log_mid(symbol, times).tolist())
        day = ticker_24h(self._market.history, symbol, updated_us, 1_000)
        # The world trades some thirty times what one venue does; a coin's supply follows from its rank.
        supply = 2.1e11 / (RANK[symbol.name] + 1) ** 0.8 / (symbol.start_price or 1.0)
        whole = price >= _WHOLE_FROM and number % 4 == 0
        return {
            "updated_us": updated_us,
            "price": round(price) if whole else price,
            "volume": float(day["quoteVolume"]) * 30.0,
            "change": None if (number + RANK[symbol.name]) % 10 == 0 else 100.0 * (price / before - 1.0),
            "market_cap": round(supply * price),
            "high": float(day["highPrice"]),
            "low": float(day["lowPrice"]),
            "supply": supply,
        }

    def _handler(self, answer: _Answer) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            self._now_us = now_us = self._market.advance()
            if (refusal := self._market.refusals.take(SOURCE)) is not None:
                self._market.faults.count(f"refused {refusal.kind}")
                return refusal.response(now_us)
            verdict = self._calls.use(request.remote or "", 1)
            if verdict.status != 200:
                text = "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing"
                body = {"status": {"error_code": 429, "error_message": text}}
                return _response(body, 429, {"Retry-After": str(verdict.retry_after_s)})
            if not _list(request, "vs_currencies") and "vs_currency" not in request.query:
                return _response({"error": "Missing parameter vs_currency"}, 422, {})
            return _response(answer(request), 200, {"Cache-Control": "public, max-age=30"})

        return handle


def coin_id(symbol: Symbol) -> str:
    """Give the base of a symbol as CoinGecko names it."""
    return _IDS.get(symbol.base_slug, symbol.base_slug)


def _market_row(name: str, symbol: Symbol, coin: dict[str, Any], rank: int, precision: str | None) -> dict[str, Any]:
    updated = dt.datetime.fromtimestamp(coin["updated_us"] // 1_000_000, dt.UTC)
    milliseconds = coin["updated_us"] // 1_000 % 1_000
    return {
        "id": name,
        "symbol": symbol.base.lower(),
        "name": name.replace("-", " ").title(),
        "image": f"https://coin-images.coingecko.com/coins/images/{rank}/large/{name}.png",
        "current_price": _price(coin["price"], precision),
        "market_cap": coin["market_cap"],
        "market_cap_rank": rank,
        "fully_diluted_valuation": None if rank % 3 else coin["market_cap"],
        "total_volume": coin["volume"],
        "high_24h": coin["high"],
        "low_24h": coin["low"],
        "price_change_percentage_24h": None if coin["change"] is None else round(coin["change"], 5),
        "circulating_supply": coin["supply"],
        "total_supply": None if rank % 5 == 0 else coin["supply"],
        "max_supply": None,
        "ath": coin["high"],
        "roi": None if rank % 2 else {"times": 41.2, "currency": "usd", "percentage": 4120.5},
        "last_updated": f"{updated:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z",
    }


def _price(price: float | int, precision: str | None) -> float | int:
    if precision == "full" or isinstance(price, int):
        return price
    return round(price, int(precision) if precision else 2 if price >= 1 else 6)


def _list(request: web.Request, name: str) -> list[str]:
    return [part for part in request.query.get(name, "").split(",") if part]


def _flag(query: Any, name: str) -> bool:
    return str(query.get(name, "")).lower() == "true"


def _response(content: Any, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(body=compact(content), status=status, headers=headers, content_type="application/json")
