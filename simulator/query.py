"""The parameters of a REST request, read and refused as Binance does."""

from __future__ import annotations

import json
import re

from aiohttp import web

from simulator.candles import INTERVALS_US
from simulator.catalogue import Symbol

_DEFAULT_LIMIT, _MOST = 500, 1_000
_LEAST_US = 10**14  # a time given by a client is in microseconds from here on, in milliseconds below
_NUMBER = re.compile(r"[0-9]{1,20}")


class ApiError(Exception):
    """An error the venue answers with a code.

    Args:
        code: the venue's, negative.
        message: its text.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.body = {"code": code, "msg": message}


class Query:
    """The parameters of one request, read as the venue reads them.

    Args:
        request: as it came.
        symbols: listed symbols by name.
    """

    def __init__(self, request: web.Request, symbols: dict[str, Symbol]) -> None:
        self._given = request.query
        self._symbols = symbols
        micro = request.headers.get("X-MBX-TIME-UNIT", "").upper() == "MICROSECOND"
        self.unit_us = 1 if micro else 1_000

    def text(self, name: str) -> str | None:
        """Give a parameter, or None."""
        return self._given.get(name)

    def symbol(self) -> Symbol:
        """Give the symbol, which must be there."""
        return self._listed(self._must("symbol"))

    def symbols(self) -> list[Symbol]:
        """Give `symbol`, `symbols` (a JSON list), or all."""
        one, many = self.text("symbol"), self.text("symbols")
        if one is not None and many is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if one is not None:
            return [self._listed(one)]
        if many is None:
            return list(self._symbols.values())
        try:
            names = json.loads(many)
        except ValueError:
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ApiError(-1100, "Illegal characters found in parameter 'symbols'; legal range is '[\"SYMBOL\",...]'.")
        return [self._listed(name) for name in names]

    def interval_us(self) -> int:
        """Give the length of the interval asked for."""
        length = INTERVALS_US.get(self._must("interval"))
        if length is None:
            raise ApiError(-1120, "Invalid interval.")
        return length

    def number(self, name: str) -> int | None:
        """Give a whole number, or None."""
        text = self.text(name)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text):
            raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
        return int(text)

    def limit(self) -> int:
        """Give the number of rows asked for, at most 1,000."""
        return min(max(self.number("limit") or _DEFAULT_LIMIT, 1), _MOST)

    def time_us(self, name: str) -> int | None:
        """Give a time in microseconds, or None."""
        value = self.number(name)
        return value if value is None or value >= _LEAST_US else value * 1_000

    def _must(self, name: str) -> str:
        text = self.text(name)
        if not text:
            raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return text

    def _listed(self, name: str) -> Symbol:
        if not re.fullmatch(r"[A-Z0-9-_.]{1,20}", name):
            raise ApiError(
                -1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
            )
        symbol = self._symbols.get(name)
        if symbol is None:
            raise ApiError(-1121, "Invalid symbol.")
        return symbol
