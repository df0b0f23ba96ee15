"""Views that show bronze by source, with the frame as text beside its bytes."""

from __future__ import annotations

from bronze.tables import FRAMES
from lakehouse.view import Shape, View, ViewColumn, as_is

_COLUMNS = (
    *as_is("received_at", "venue", "key", "session_id", "sequence", "origin"),
    ViewColumn("frame", "payload", Shape.TEXT),
    *as_is("topic_id", "topic", "partition", "offset", "kafka_time", "ingested_at"),
)


def _frames(name: str, comment: str, where: str) -> View:
    return View(f"bronze.{name}", comment, FRAMES, _COLUMNS, where)


VIEWS = (
    _frames("binance_trades", "Binance trade frames and REST fills.", "venue = 'binance' AND channel = 'trade'"),
    _frames("binance_klines", "Binance one-minute candles by REST.", "venue = 'binance' AND channel = 'kline'"),
    _frames("binance_tickers", "Binance 24 h tickers by REST.", "venue = 'binance' AND channel = 'ticker'"),
    _frames("bybit_trades", "Bybit trade frames and recent trades.", "venue LIKE 'bybit-%' AND channel = 'trade'"),
    _frames("coingecko_prices", "CoinGecko prices by REST.", "venue = 'coingecko' AND channel = 'price'"),
    _frames("coincap_prices", "CoinCap v3 prices.", "venue = 'coincap' AND channel = 'price'"),
    _frames("coincap_trades", "CoinCap v2 trade frames.", "venue LIKE 'coincap-%' AND channel = 'trade'"),
)
