"""Binance's public REST under /api/v3, with its weights, error bodies and units of time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator.candles import candles, grid, kline_row
from simulator.catalogue import Symbol, first_id
from simulator.journal import BINANCE
from simulator.limits import Verdict, Weights
from simulator.market import Market
from simulator.query import ApiError, Query
from simulator.ticker import ticker_24h
from simulator.trades import Trades, wire_text
from simulator.wire import compact

_HOUR_US = 3_600_000_000
_AGGREGATE_OFFSET = (
    3  # aggregate ids run a third of the symbol's first id behind, so that no one takes them for trade ids
)

Answer = Callable[[Query], Any]


class Rest:
    """Handlers of the REST routes.

    Args:
        market: what they tell of.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._history = market.history
        self._weights = Weights(market.settings.limits)
        self._now_us = market.clock.now_us()  # of the request being answered; no answer waits, so they do not mix
        self._tickers: dict[str, tuple[int, dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Give the routes."""
        answers: dict[str, tuple[int | Callable[[web.Request], int], Answer]] = {
            "ping": (1, lambda query: {}),
            "time": (1, self.time),
            "exchangeInfo": (20, self.exchange_info),
            "klines": (2, self.klines),
            "trades": (25, self.trades),
            "historicalTrades": (25, self.historical_trades),
            "aggTrades": (4, self.aggregate_trades),
            "ticker/24hr": (self._ticker_weight, self.ticker),
        }
        return [web.get(f"/api/v3/{path}", self._handler(*answer)) for path, answer in answers.items()]

    def time(self, query: Query) -> Any:
        """Answer `time`."""
        return {"serverTime": self._now_us // query.unit_us}

    def klines(self, query: Query) -> Any:
        """Answer `klines`; an interval without a trade stands at the last close with count 0, as on the venue."""
        symbol, interval_us = query.symbol(), query.interval_us()
        now_us = self._now_us
        end_us = min(_or(query.time_us("endTime"), now_us), now_us)
        opens = grid(interval_us, query.time_us("startTime"), end_us, query.limit(), self._history.epoch_us)
        made = candles(self._history, symbol, interval_us, opens)
        return [kline_row(candle, symbol, interval_us, query.unit_us) for candle in made]

    def trades(self, query: Query) -> Any:
        """Answer `trades`."""
        symbol = query.symbol()
        return _trade_rows(self._history.newest(symbol, query.limit()), symbol, query.unit_us)

    def historical_trades(self, query: Query) -> Any:
        """Answer `historicalTrades`; an id behind the horizon answers from a later one, without an error."""
        symbol, start, limit = query.symbol(), query.number("fromId"), query.limit()
        if start is None:
            return self.trades(query)
        return _trade_rows(self._history.from_id(symbol, start, limit), symbol, query.unit_us)

    def aggregate_trades(self, query: Query) -> Any:
        """Answer `aggTrades`; here every trade is an aggregate of its own."""
        symbol, limit = query.symbol(), query.limit()
        offset = first_id(symbol) // _AGGREGATE_OFFSET
        start, start_us, end_us = query.number("fromId"), query.time_us("startTime"), query.time_us("endTime")
        if start is not None:
            rows = self._history.from_id(symbol, start + offset, limit)
        elif start_us is None and end_us is None:
            rows = self._history.newest(symbol, limit)
        else:
            end = _or(end_us, self._now_us) + 1_000
            begin = _or(start_us, end - _HOUR_US)
            rows = self._history.between(symbol, begin, end)[:limit]
        return _aggregate_rows(rows, symbol, offset, query.unit_us)

    def ticker(self, query: Query) -> Any:
        """Answer `ticker/24hr`, one object for `symbol`, else a list."""
        kind = query.text("type") or "FULL"
        if kind not in ("FULL", "MINI"):
            raise ApiError(-1139, "Invalid ticker type.")
        now_us = self._now_us
        answers = [self._ticker(symbol, now_us, query.unit_us, kind) for symbol in query.symbols()]
        return answers[0] if query.text("symbol") is not None else answers

    def exchange_info(self, query: Query) -> Any:
        """Answer `exchangeInfo`."""
        limit = self._market.settings.limits.weight_per_minute
        return {
            "timezone": "UTC",
            "serverTime": self._now_us // query.unit_us,
            "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit}],
            "exchangeFilters": [],
            "symbols": [_symbol_info(symbol) for symbol in query.symbols()],
        }

    def _ticker(self, symbol: Symbol, now_us: int, unit_us: int, kind: str) -> dict[str, Any]:
        # as on the venue, tickers change once a second; that also keeps a busy day's sums off the event loop
        second = now_us // 1_000_000
        key = f"{symbol.name} {unit_us}"
        if self._tickers.get(key, (0, {}))[0] != second:
            self._tickers[key] = second, ticker_24h(self._history, symbol, now_us, unit_us)
        full = self._tickers[key][1]
        left_out = ("Change", "bid", "ask", "weighted", "prevClose", "lastQty")
        return full if kind == "FULL" else {k: v for k, v in full.items() if not any(part in k for part in left_out)}

    def _ticker_weight(self, request: web.Request) -> int:
        if "symbol" in request.query:
            return 2
        asked = request.query.get("symbols", "").count(",") + 1 if "symbols" in request.query else 101
        return 2 if asked <= 20 else 40 if asked <= 100 else 80

    def _handler(
        self, weight: int | Callable[[web.Request], int], answer: Answer
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            verdict = self._weights.use(request.remote or "", weight if isinstance(weight, int) else weight(request))
            if (refusal := self._market.refusals.take(BINANCE)) is not None:
                self._market.faults.count(f"refused {refusal.kind}")
                return refusal.response(self._market.clock.now_us())
            if self._market.faults.rest_failures:
                self._market.faults.rest_failures -= 1
                self._market.faults.count("rest_failure")
                return web.Response(status=503, text="<html><body>503 Service Temporarily Unavailable</body></html>")
            if verdict.status != 200:
                return _response(self._too_many(), verdict)
            self._now_us = self._market.advance()
            try:
                return _response(answer(Query(request, self._market.symbols)), verdict)
            except ApiError as error:
                return _response(error.body, verdict, status=400)

        return handle

    def _too_many(self) -> dict[str, Any]:
        limit = self._market.settings.limits.weight_per_minute
        return {
            "code": -1003,
            "msg": f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
        }


def _response(content: Any, verdict: Verdict, status: int | None = None) -> web.Response:
    headers = {"X-MBX-USED-WEIGHT-1M": str(verdict.used)}
    if verdict.retry_after_s:
        headers["Retry-After"] = str(verdict.retry_after_s)
    return web.Response(
        body=compact(content), status=status or verdict.status, headers=headers, content_type="application/json"
    )


def _trade_rows(trades: Trades, symbol: Symbol, unit_us: int) -> list[dict[str, Any]]:
    prices, quantities = symbol.price_decimals, symbol.quantity_decimals
    return [
        {
            "id": trade_id,
            "price": wire_text(ticks, prices),
            "qty": wire_text(lots, quantities),
            "quoteQty": wire_text(ticks * lots, prices + quantities),
            "time": time_us // unit_us,
            "isBuyerMaker": not buy,
            "isBestMatch": True,
        }
        for trade_id, time_us, ticks, lots, buy in _rows(trades)
    ]


def _aggregate_rows(trades: Trades, symbol: Symbol, offset: int, unit_us: int) -> list[dict[str, Any]]:
    return [
        {
            "a": trade_id - offset,
            "p": wire_text(ticks, symbol.price_decimals),
            "q": wire_text(lots, symbol.quantity_decimals),
            "f": trade_id,
            "l": trade_id,
            "T": time_us // unit_us,
            "m": not buy,
            "M": True,
        }
        for trade_id, time_us, ticks, lots, buy in _rows(trades)
    ]


def _rows(trades: Trades) -> list[tuple[int, int, int, int, bool]]:
    columns = (trades.ids, trades.time_us, trades.ticks, trades.lots, trades.buy)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _symbol_info(symbol: Symbol) -> dict[str, Any]:
    tick, lot = wire_text(1, symbol.price_decimals), wire_text(1, symbol.quantity_decimals)
    return {
        "symbol": symbol.name,
        "status": "TRADING",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "92141578.00000000", "stepSize": lot},
        ],
        "permissions": ["SPOT"],
    }


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
