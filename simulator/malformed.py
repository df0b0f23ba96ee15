"""Frames that are no trade: extra ones, whose ids belong to no trade or whose fields cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable

Corrupt = Callable[[bytes], bytes]


def _truncated(body: bytes) -> bytes:
    return body[: len(body) * 2 // 3]


def _invalid_utf8(body: bytes) -> bytes:
    return body[:12] + b"\xff\xfe\xc3\x28" + body[12:]


def _not_json(_: bytes) -> bytes:
    return b"503 Service Temporarily Unavailable"


def _empty(_: bytes) -> bytes:
    return b""


def _two_in_one(body: bytes) -> bytes:
    return body + body


def _doubled_key(body: bytes) -> bytes:
    return body[:-1] + b',"s":"ETHUSDT","p":"1.00000000","price":1}'


def _nested(_: bytes) -> bytes:
    return b'{"e":"trade","p":' + b"[" * 2_000 + b"]" * 2_000 + b"}"


def _changed(**fields: object) -> Corrupt:
    """Make a corruption that gives some keys other values, where the body has them; None takes the key away."""

    def corrupt(body: bytes) -> bytes:
        content = json.loads(body)
        trade = content["data"][0] if "data" in content else content
        for key, value in fields.items():
            if key in trade and value is None:
                del trade[key]
            elif key in trade:
                trade[key] = value
        return json.dumps(content, separators=(",", ":")).encode()

    return corrupt


# Kinds by name; the keys of Binance, Bybit and CoinCap stand side by side, each body has its own.
KINDS: dict[str, Corrupt] = {
    "truncated": _truncated,
    "invalid_utf8": _invalid_utf8,
    "not_json": _not_json,
    "empty": _empty,
    "two_in_one": _two_in_one,
    "doubled_key": _doubled_key,
    "nested": _nested,
    "nan_price": _changed(p=float("nan"), price=float("nan")),
    "infinite_quantity": _changed(v="Infinity", q="Infinity", volume=float("inf")),
    "price_as_number": _changed(p=12.5, price="12.5"),
    "price_null_quantity_list": _changed(v=["1"], p=[], q=["1"], price=[], volume=["1"]),
    "id_as_text": _changed(t="17x", i=17, timestamp="yesterday"),
    "id_fraction": _changed(t=1.5, timestamp=1.5),
    "no_price": _changed(p=None, price=None),
    "no_time": _changed(T=None, timestamp=None),
    "negative_quantity": _changed(v="-1.00000000", q="-1.00000000", volume=-1),
    "zero_price": _changed(p="0.00000000", price=0),
    "too_many_decimals": _changed(p="1.0000000000001", price=1.0000000000001),
    "huge": _changed(p="9" * 40 + ".0", price=10**40),
    "maker_as_text": _changed(m="true", S="buy", direction="up"),
    "no_symbol": _changed(s="", base=""),
    "array": lambda body: b"[" + body + b"]",
}


def unlike_any_trade(body: bytes) -> bytes:
    """Give a body an id that no trade has, so that what a reader makes of it cannot pass for the real one."""
    content = json.loads(body)
    if "data" in content:  # Bybit: one fill is enough, and a key is never empty
        content["data"] = [{**content["data"][0], "i": ""}]
    if "t" in content:
        content["t"] = -content["t"]
    return json.dumps(content, separators=(",", ":")).encode()
