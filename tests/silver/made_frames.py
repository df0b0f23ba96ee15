"""Good frames, and frames made of them by a change; those that must not become rows are in tests/corpus."""

from __future__ import annotations

import json
from dataclasses import replace

from silver.rows import Frame

RECEIVED_US = 1_723_161_255_000_000
MS = 1_723_161_254_123
GOOD = (
    b'{"e":"trade","E":1723161254124,"s":"BTCUSDT","t":7,"p":"61837.63000000","q":"0.02000000",'
    b'"T":1723161254123,"m":true,"M":true}'
)
COINCAP = (
    b'{"exchange":"bitso","base":"bitcoin","quote":"tether","direction":"buy","price":19365.59,"volume":0.07,'
    b'"timestamp":1723161254123,"priceUsd":19371.06}'
)
KLINE = [1723161120000, "1.5", "2", "1", "1.75", "10.5", 1723161179999, "17.25", 3, "4.5", "7.25", "0"]


def binance(payload: bytes = GOOD, **headers: object) -> Frame:
    frame = Frame("binance", "trade", "btcusdt@trade", "S1", 5, RECEIVED_US, "stream", payload)
    return replace(frame, **headers)


def coincap(payload: bytes = COINCAP, **headers: object) -> Frame:
    frame = Frame("coincap-bitso", "trade", "bitcoin-tether", "C1", 9, RECEIVED_US, "stream", payload)
    return replace(frame, **headers)


def rest(*rows: object, **headers: object) -> Frame:
    return binance(json.dumps(rows).encode(), key="BTCUSDT", origin="backfill", **headers)


def klines(*rows: object, **headers: object) -> Frame:
    return rest(*rows, channel="kline", **headers)


def rest_row(trade_id: int = 28457, **changes: object) -> dict[str, object]:
    row = {"id": trade_id, "price": "4.0", "qty": "12.0", "quoteQty": "48.0", "time": MS, "isBuyerMaker": True}
    return {**row, "isBestMatch": True, **changes}


def changed(old: str, new: str, frame: Frame | None = None) -> Frame:
    frame = frame or binance()
    assert frame.payload.count(old.encode()) == 1, old
    return replace(frame, payload=frame.payload.replace(old.encode(), new.encode()))


def listing(symbol: str, base: str, quote: str, after_us: int = 0) -> Frame:
    body = {"symbols": [{"symbol": symbol, "baseAsset": base, "quoteAsset": quote}]}
    payload, received_us = json.dumps(body).encode(), RECEIVED_US + after_us
    return binance(payload, channel="symbols", key="exchangeInfo", received_us=received_us)
