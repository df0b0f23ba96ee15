"""The text of what goes out: trade frames, ledger lines, and the websocket frames they travel in."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

_TEXT = 0x81
_CLOSE = 0x88
_PING = 0x89
_SHORT = 126
_MEDIUM = 1 << 16


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for all who listen to a stream.

    Args:
        stream: e.g. `btcusdt@trade`, or the exchange of a CoinCap connection.
        body: its bytes; times in milliseconds.
        body_us: the same with times in microseconds.
    """

    stream: str
    body: bytes
    body_us: bytes


def websocket_frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """Frame a server's message (RFC 6455 section 5.2: final, unmasked)."""
    length = len(payload)
    if length < _SHORT:
        return struct.pack("!BB", opcode, length) + payload
    if length < _MEDIUM:
        return struct.pack("!BBH", opcode, _SHORT, length) + payload
    return struct.pack("!BBQ", opcode, 127, length) + payload


def ping_frame(payload: bytes) -> bytes:
    """Frame a ping."""
    return websocket_frame(payload, _PING)


def close_frame(code: int) -> bytes:
    """Frame a close."""
    return websocket_frame(struct.pack("!H", code), _CLOSE)


def compact(content: Any) -> bytes:
    """Write JSON as the venues do, without spaces."""
    return json.dumps(content, separators=(",", ":")).encode()


def combined(stream: str, body: bytes) -> bytes:
    """Wrap a body as a combined stream does."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), body)


def binance_trade(
    symbol: str, trade_id: int, price: str, quantity: str, time: int, event_time: int, buy: bool
) -> bytes:
    """Write a Binance spot `trade` payload in the venue's order of keys; times in the connection's unit."""
    maker = "false" if buy else "true"
    return (
        f'{{"e":"trade","E":{event_time},"s":"{symbol}","t":{trade_id},"p":"{price}","q":"{quantity}",'
        f'"T":{time},"m":{maker},"M":true}}'
    ).encode()


def ledger_line(
    venue: str,
    symbol: str,
    trade_id: int | None,
    price: str,
    quantity: str,
    buy: bool,
    event_time_us: int,
    fault: str | None,
    running: int | None = None,
) -> bytes:
    """Write one ledger line; `running` is the number `n` of a venue without ids."""
    number = "" if running is None else f'"n":{running},'
    what = "null" if fault is None else f'"{fault}"'
    return (
        f'{{"venue":"{venue}","symbol":"{symbol}","id":{"null" if trade_id is None else trade_id},{number}'
        f'"price":"{price}","quantity":"{quantity}","side":"{"buy" if buy else "sell"}",'
        f'"event_time_us":{event_time_us},"fault":{what}}}\n'
    ).encode()
