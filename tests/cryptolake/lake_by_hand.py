"""Small lakes written by delta-rs, with silver worked out here by Decimal and not by the code under test."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from bronze.tables import FRAMES
from lakehouse.marks import note_of
from lakehouse.table import Table
from lakehouse.table_state import local_marks
from silver.quality import RULE_VERSION
from silver.tables import (
    CANDLES,
    FIVE_MINUTE_BARS,
    GAPS,
    ONE_MINUTE_BARS,
    PRICES,
    QUARANTINE,
    SIX_MINUTE_TRENDS,
    SYMBOLS,
    TICKERS,
    TRADES,
)

Row = dict[str, Any]
START_US = 1_723_161_600_000_000  # 2024-08-09 00:00 UTC
MINUTE_US = 60_000_000
ABOVE_BARS = (FIVE_MINUTE_BARS, SIX_MINUTE_TRENDS)
REFINED = (GAPS, CANDLES, TICKERS, PRICES, SYMBOLS, QUARANTINE, TRADES)
TABLES = {t.name: t for t in (FRAMES, *REFINED, ONE_MINUTE_BARS, *ABOVE_BARS)}
TICKER_COLUMNS = {
    "lastPrice": "last_price",
    "priceChange": "price_change",
    "priceChangePercent": "price_change_pct",
    "weightedAvgPrice": "weighted_average_price",
    "prevClosePrice": "previous_close_price",
    "lastQty": "last_quantity",
    "bidPrice": "bid_price",
    "bidQty": "bid_quantity",
    "askPrice": "ask_price",
    "askQty": "ask_quantity",
    "openPrice": "open_price",
    "highPrice": "high_price",
    "lowPrice": "low_price",
    "volume": "volume",
    "quoteVolume": "quote_volume",
}


def time_of(us: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us)


def us_of(time: dt.datetime) -> int:
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


class HandLake:
    """Rows of every table; change them, then `write`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rows: dict[str, list[Row]] = {name: [] for name in TABLES}
        self._offsets: dict[tuple[str, int], int] = {}

    @property
    def frames(self) -> list[Row]:
        return self.rows[FRAMES.name]

    @property
    def trades(self) -> list[Row]:
        return self.rows[TRADES.name]

    @property
    def bars(self) -> list[Row]:
        return self.rows[ONE_MINUTE_BARS.name]

    @property
    def windows(self) -> list[Row]:
        return self.rows[FIVE_MINUTE_BARS.name]

    @property
    def trends(self) -> list[Row]:
        return self.rows[SIX_MINUTE_TRENDS.name]

    def frame(self, payload: bytes | str, **given: Any) -> Row:
        venue, channel = given.get("venue", "binance"), given.get("channel", "trade")
        topic, partition = f"{venue}.{channel}", given.get("partition", 0)
        offset = self._offsets.get((topic, partition), 0)
        self._offsets[topic, partition] = offset + 1
        received = time_of(given.pop("received_us", START_US + 3_600_000_000))
        row: Row = {
            "topic_id": f"id-of-{topic}",
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "venue": venue,
            "channel": channel,
            "key": "btcusdt@trade",
            "session_id": "S1",
            "sequence": len(self.frames),
            "received_at": received,
            "origin": "stream",
            "payload": payload if isinstance(payload, bytes) else payload.encode(),
            "kafka_time": received,
            "ingested_at": received,
        }
        row.update(given)
        self.frames.append(row)
        return row

    def trade(self, trade_id: int, price: str, quantity: str, us: int, side: str = "buy", **given: Any) -> Row:
        name = given.pop("name", "BTCUSDT")
        frame = self.frame(binance_frame(trade_id, price, quantity, us, side, name), **given)
        return self.silver_trade(frame, name, str(trade_id), trade_id, side, price, quantity, us)

    def coincap(self, price: str, quantity: str, us: int, side: str = "buy", **given: Any) -> Row:
        payload = (
            f'{{"exchange":"bitso","base":"bitcoin","quote":"tether","direction":"{side}","price":{price},'
            f'"volume":{quantity},"timestamp":{us // 1000},"priceUsd":1.5}}'
        )
        frame = self.frame(payload, venue="coincap-bitso", key="bitcoin-tether", **given)
        key = f"{frame['session_id']}:{frame['sequence']}:0"
        return self.silver_trade(frame, "bitcoin-tether", key, None, side, price, quantity, us)

    def bybit(self, *keys: str, seq: int, us: int, price: str = "2.5", **given: Any) -> list[Row]:
        """One frame of fills that share seq."""
        fills = [
            {"i": key, "T": us // 1000, "p": price, "v": "4", "S": "Buy", "seq": seq, "s": "ETHUSDT", "BT": False}
            for key in keys
        ]
        body = {"topic": "publicTrade.ETHUSDT", "type": "snapshot", "ts": us // 1000, "data": fills}
        frame = self.frame(json.dumps(body), **{"venue": "bybit-spot", "key": "publicTrade.ETHUSDT", **given})
        made = [
            self.silver_trade(frame, "ETHUSDT", key, None, "buy", price, "4", us, row) for row, key in enumerate(keys)
        ]
        for trade in made:
            trade["venue_sequence"] = seq
        return made

    def silver_trade(
        self,
        frame: Row,
        name: str,
        key: str,
        trade_id: int | None,
        side: str,
        price: str,
        quantity: str,
        us: int,
        row: int = 0,
    ) -> Row:
        base, quote = ("BTC", "USDT") if "-" in name else (name[:-4], name[-4:])
        trade = {
            **_from_frame(frame, TRADES, row),
            "symbol": f"{base}-{quote}",
            "trade_key": key,
            "base": base,
            "quote": quote,
            "venue_symbol": name,
            "trade_id": trade_id,
            "side": side,
            "price": Decimal(price),
            "quantity": Decimal(quantity),
            "event_time": time_of(us),
            "rescued": None,
        }
        self.trades.append(trade)
        return trade

    def candles(self, *rows: list[Any], **given: Any) -> list[Row]:
        frame = self.frame(json.dumps(rows), channel="kline", key="BTCUSDT", origin="backfill", **given)
        made = []
        for number, row in enumerate(rows):
            names = ("open", "high", "low", "close", "volume")
            made.append(
                {
                    **_from_frame(frame, CANDLES, number),
                    "symbol": "BTC-USDT",
                    "venue_symbol": "BTCUSDT",
                    "minute": time_of(row[0] * 1000),
                    **{name: Decimal(text) for name, text in zip(names, row[1:6], strict=True)},
                    "buy_volume": Decimal(row[9]),
                    "amount": Decimal(row[7]),
                    "trade_count": row[8],
                }
            )
        self.rows[CANDLES.name] += made
        return made

    def gap(self, from_us: int, to_us: int, venue: str = "coincap-bitso", name: str = "", **given: Any) -> Row:
        marker = {"kind": "disconnect", "from_time_us": from_us, "to_time_us": to_us, "reason": "cut"}
        if name:
            marker["symbol"] = name
        frame = self.frame(json.dumps(marker), venue=venue, channel="gap", **given)
        gap = {
            **_from_frame(frame, GAPS, 0),
            "symbol": f"{name[:-4]}-{name[-4:]}" if name else "*",
            "from_time": time_of(from_us),
            "to_time": time_of(to_us),
            "detected_at": frame["received_at"],
            "status": "unrecoverable",
            "reason": "cut",
        }
        self.rows[GAPS.name].append(gap)
        return gap

    def id_gap(self, first: int, last: int, status: str = "open", symbol: str = "BTC-USDT") -> Row:
        gap: Row = {
            "venue": "binance",
            "symbol": symbol,
            "from_id": first,
            "to_id": last,
            "detected_at": time_of(START_US),
            "status": status,
            "closed_at": time_of(START_US) if status == "closed" else None,
            "reason": "trade ids are missing",
        }
        self.rows[GAPS.name].append(gap)
        return gap

    def lost_ids(self, first: int, last: int) -> Row:
        marker = {"kind": "unrecoverable", "symbol": "BTCUSDT", "from_id": first, "to_id": last}
        return self.frame(json.dumps(marker), channel="gap", key="BTCUSDT", origin="backfill")

    def tickers(self, *tickers: dict[str, Any], **given: Any) -> list[Row]:
        """A ticker/24hr body of some pairs in USDT, and its rows."""
        frame = self.frame(json.dumps(tickers), channel="ticker", key="ticker/24hr", **given)
        made = [
            {
                **_from_frame(frame, TICKERS, number),
                "symbol": f"{ticker['symbol'][:-4]}-USDT",
                "base": ticker["symbol"][:-4],
                "quote": "USDT",
                "venue_symbol": ticker["symbol"],
                "close_time": time_of(ticker["closeTime"] * 1000),
                "open_time": time_of(ticker["openTime"] * 1000),
                **{column: Decimal(ticker[name]) for name, column in TICKER_COLUMNS.items()},
                "first_id": ticker["firstId"],
                "last_id": ticker["lastId"],
                "trade_count": ticker["count"],
                "rescued": None,
            }
            for number, ticker in enumerate(tickers)
        ]
        self.rows[TICKERS.name] += made
        return made

    def price(self, frame: Row, row: int, name: str, base: str, price: str, us: int, **beside: str | None) -> Row:
        """A row of silver.prices that comes from a frame."""
        figures = {column: beside.get(column) for column in ("volume_24h", "change_24h_pct", "market_cap")}
        made = {
            **_from_frame(frame, PRICES, row),
            "symbol": f"{base}-USD",
            "base": base,
            "quote": "USD",
            "venue_symbol": name,
            "updated_at": time_of(us),
            "price": Decimal(price),
            **{column: None if text is None else Decimal(text) for column, text in figures.items()},
            "rescued": None,
        }
        self.rows[PRICES.name].append(made)
        return made

    def names(self, *names: tuple[str, str, str], **given: Any) -> list[Row]:
        """An exchangeInfo body of (symbol, base, quote), and its rows."""
        items = [dict(zip(("symbol", "baseAsset", "quoteAsset"), name, strict=True)) for name in names]
        frame = self.frame(json.dumps({"symbols": items}), channel="symbols", key="exchangeInfo", **given)
        made = [
            {
                **_from_frame(frame, SYMBOLS, number),
                **{"venue_symbol": name, "base": base, "quote": quote, "symbol": f"{base}-{quote}"},
                **{"since": frame["received_at"], "source": "exchangeInfo"},
            }
            for number, (name, base, quote) in enumerate(names)
        ]
        self.rows[SYMBOLS.name] += made
        return made

    def quarantine(self, frame: Row, *reasons: str, row: int = -1) -> Row:
        refused = {
            **_from_frame(frame, QUARANTINE, row),
            "reasons": list(reasons),
            "rule_version": RULE_VERSION,
            "first_seen": frame["received_at"],
        }
        self.rows[QUARANTINE.name].append(refused)
        return refused

    def aggregate(self) -> None:
        """Work out bars, five minutes of them, and trends."""
        with localcontext() as context:
            context.prec = 200
            self.rows[ONE_MINUTE_BARS.name] = bars_of(self.trades, self.rows[CANDLES.name])
            self.rows[FIVE_MINUTE_BARS.name] = windows_of(self.bars)
            self.rows[SIX_MINUTE_TRENDS.name] = trends_of(self.bars)

    def write(self) -> None:
        """Write every table: version 0 is empty, version 1 holds the rows, and all of it is consumed."""
        for table in TABLES.values():
            properties = dict(table.properties)
            DeltaTable.create(
                str(self.path(table)), schema=schema_of(table), mode="ignore", configuration=properties or None
            )
        self.append(FRAMES, self.frames)
        for table in REFINED:
            self.append(table, self.rows[table.name], self.refine_mark(table, 1))
        self.append(ONE_MINUTE_BARS, self.bars)
        self.append(FIVE_MINUTE_BARS, self.windows, self.windows_mark(1))
        self.append(SIX_MINUTE_TRENDS, self.trends, *(self.aggregate_mark(table, 1) for table in (TRADES, CANDLES)))

    def append(self, table: Table, rows: Iterable[Row], *marks: tuple[str, int]) -> None:
        held = dict(local_marks(DeltaTable(str(self.path(table)))))
        write_deltalake(
            str(self.path(table)),
            pa.Table.from_pylist(list(rows), schema=schema_of(table)),
            mode="append",
            commit_properties=CommitProperties(custom_metadata={"userMetadata": note_of(held | dict(marks))}),
        )

    def refine_mark(self, table: Table, version: int) -> tuple[str, int]:
        return (f"{table.name}/refine/{self.table_id(FRAMES)}", version)

    def aggregate_mark(self, source: Table, version: int) -> tuple[str, int]:
        return (f"{SIX_MINUTE_TRENDS.name}/aggregate/{self.table_id(source)}", version)

    def windows_mark(self, version: int) -> tuple[str, int]:
        return (f"{FIVE_MINUTE_BARS.name}/aggregate/{self.table_id(ONE_MINUTE_BARS)}", version)

    def table_id(self, table: Table) -> str:
        return str(DeltaTable(str(self.path(table))).metadata().id)

    def path(self, table: Table) -> Path:
        return self.home / "lake" / table.name.replace(".", "/")


def schema_of(table: Table) -> pa.Schema:
    schema = to_arrow_schema(table.schema)
    utc = pa.timestamp("us", tz="UTC")
    return pa.schema([pa.field(f.name, utc if pa.types.is_timestamp(f.type) else f.type) for f in schema])


def binance_frame(trade_id: int, price: str, quantity: str, us: int, side: str = "buy", name: str = "BTCUSDT") -> str:
    time = us // 1000 if us % 1000 == 0 else us
    return (
        f'{{"e":"trade","E":{time},"s":"{name}","t":{trade_id},"p":"{price}","q":"{quantity}","T":{time},'
        f'"m":{"true" if side == "sell" else "false"},"M":true}}'
    )


def candle(minute_us: int, low: str, high: str, volume: str, amount: str, count: int) -> list[Any]:
    ms = minute_us // 1000
    return [ms, low, high, low, high, volume, ms + 59_999, amount, count, "0.5", "1", "0"]


def _from_frame(frame: Row, table: Table, row: int) -> Row:
    return {**{name: frame[name] for name in table.columns if name in frame}, "row": row}


def _rounded(value: Decimal, decimals: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def _vwap(amount: Decimal, volume: Decimal) -> Decimal:
    return _rounded(_rounded(amount / volume, 24), 16)


def bars_of(trades: list[Row], candles: list[Row]) -> list[Row]:
    by_minute: dict[tuple[str, str, int], list[Row]] = {}
    for trade in trades:
        minute = us_of(trade["event_time"]) // MINUTE_US * MINUTE_US
        by_minute.setdefault((trade["venue"], trade["symbol"], minute), []).append(trade)
    bars = {key: _trade_bar(rows) for key, rows in by_minute.items()}
    for held in candles:
        key = (held["venue"], held["symbol"], us_of(held["minute"]))
        if held["trade_count"] > bars.get(key, {"trade_count": 0})["trade_count"]:
            bars[key] = {
                **{name: held[name] for name in ("open", "high", "low", "close", "volume", "buy_volume", "amount")},
                "price_sum": None,
                "average_price": None,
                "vwap": _vwap(held["amount"], held["volume"]),
                "trade_count": held["trade_count"],
                "origin": "klines",
            }
    return [
        {"venue": venue, "symbol": symbol, "minute": time_of(minute), **bar, "revised_at": None}
        for (venue, symbol, minute), bar in sorted(bars.items())
    ]


def _trade_bar(rows: list[Row]) -> Row:
    def order(row: Row) -> tuple[Any, ...]:
        seq = row.get("venue_sequence")
        by_venue = (seq, row["trade_key"]) if seq is not None else (0, "")
        return row["event_time"], row["trade_id"] or 0, *by_venue, row["session_id"], row["sequence"], row["row"]

    rows = sorted(rows, key=order)
    prices = [row["price"] for row in rows]
    volume = sum((row["quantity"] for row in rows), Decimal(0))
    amount = sum((row["price"] * row["quantity"] for row in rows), Decimal(0))
    return {
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": volume,
        "buy_volume": sum((row["quantity"] for row in rows if row["side"] == "buy"), Decimal(0)),
        "amount": amount,
        "price_sum": sum(prices, Decimal(0)),
        "average_price": _rounded(sum(prices, Decimal(0)) / len(prices), 16),
        "vwap": _vwap(amount, volume),
        "trade_count": len(rows),
        "origin": "trades",
    }


def windows_of(bars: list[Row]) -> list[Row]:
    by_window: dict[tuple[str, str, int], list[Row]] = {}
    for bar in sorted(bars, key=lambda bar: bar["minute"]):
        start = us_of(bar["minute"]) // (5 * MINUTE_US) * 5 * MINUTE_US
        by_window.setdefault((bar["venue"], bar["symbol"], start), []).append(bar)
    return [
        {"venue": venue, "symbol": symbol, "window_start": time_of(start), **_five(minutes), "revised_at": None}
        for (venue, symbol, start), minutes in by_window.items()
    ]


def _five(minutes: list[Row]) -> Row:
    def total(name: str) -> Any:
        return None if None in (found := [bar[name] for bar in minutes]) else sum(found)

    volume, amount, price_sum, count = (total(name) for name in ("volume", "amount", "price_sum", "trade_count"))
    return {
        "open": minutes[0]["open"],
        "high": max(bar["high"] for bar in minutes),
        "low": min(bar["low"] for bar in minutes),
        "close": minutes[-1]["close"],
        "volume": volume,
        "buy_volume": total("buy_volume"),
        "amount": amount,
        "price_sum": price_sum,
        "average_price": None if price_sum is None else _rounded(price_sum / count, 16),
        "vwap": _vwap(amount, volume),
        "trade_count": count,
        "origin": "klines" if any(bar["origin"] == "klines" for bar in minutes) else "trades",
    }


def trends_of(bars: list[Row]) -> list[Row]:
    trends = []
    averages = {(b["venue"], b["symbol"], us_of(b["minute"])): b["average_price"] for b in bars if b["average_price"]}
    for (venue, symbol, minute), this in averages.items():
        before = [averages.get((venue, symbol, minute - back * MINUTE_US)) for back in range(5, -1, -1)]
        present = [average for average in before if average is not None]
        change = _rounded(100 * (this / present[0] - 1), 8)
        trends.append(
            {
                "venue": venue,
                "symbol": symbol,
                "minute": time_of(minute),
                "average_price": _rounded(sum(present, Decimal(0)) / len(present), 16),
                "minutes_present": len(present),
                "change_pct": change,
                "trend": "flat" if change == 0 else "up" if change > 0 else "down",
                "revised_at": None,
            }
        )
    return trends
