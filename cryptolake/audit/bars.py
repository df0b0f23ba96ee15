"""One-minute bars computed again from silver's trades and candles, and held against the stored ones.

Python's whole numbers are exact at any size, so every price, quantity and sum is a scaled integer; only the two
divisions round, as the design says.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import mul
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cryptolake.audit.exact import as_text, fits, half_up, scaled_ints
from cryptolake.audit.kinds import AMOUNT, PRICE, QUANTITY, VOLUME
from cryptolake.audit.minutes import Minutes, spread
from cryptolake.audit.places import Bools, contains
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.spill import Ints, Spill

AVERAGE = pa.decimal128(28, 16)
_TRADE_COLUMNS = {
    "minute": pa.int64(),
    "event_us": pa.int64(),
    "trade_id": pa.int64(),
    "venue_sequence": pa.int64(),
    "trade_key": pa.string(),
    "session_id": pa.string(),
    "sequence": pa.int64(),
    "row": pa.int32(),
    "price": PRICE,
    "quantity": QUANTITY,
    "buy": pa.bool_(),
}
_CANDLE_COLUMNS = {
    **dict.fromkeys(("open", "high", "low", "close"), PRICE),
    **dict.fromkeys(("volume", "buy_volume"), VOLUME),
    "amount": AMOUNT,
}
BAR_COLUMNS = {
    **_CANDLE_COLUMNS,
    "price_sum": AMOUNT,
    "average_price": AVERAGE,
    "vwap": AVERAGE,
    "trade_count": pa.int64(),
    "origin": pa.string(),
}
SCALES = {name: kind.scale for name, kind in BAR_COLUMNS.items() if pa.types.is_decimal(kind)}
MAX_DIGITS = 38


class Bar(NamedTuple):
    """A bar in scaled integers, in the order of `BAR_COLUMNS`."""

    open: int
    high: int
    low: int
    close: int
    volume: int | None
    buy_volume: int | None
    amount: int | None
    price_sum: int | None
    average_price: int | None
    vwap: int | None
    trade_count: int
    origin: str


class BarComparison:
    """Holds stored bars against computed ones, part by part.

    Args:
        table: its name.
        promise: what holds when the values pass.
        nothing: why a stored bar should not be there.
        minutes: numbers of minutes.
        examples: failures shown per check.
    """

    def __init__(self, table: str, promise: str, nothing: str, minutes: Minutes, examples: int) -> None:
        self._minutes = minutes
        self._nothing = nothing
        self._keys = Tally(f"{table} keys", "no minute twice", examples)
        self._values = Tally(f"{table} values", promise, examples)

    def note(self, what: str, bars: int) -> None:
        """Add to a count that is shown beside the values."""
        self._values.note(what, bars)

    def take(self, expected: dict[int, Bar], stored: Any, waiting: Ints) -> None:
        """Compare one part.

        Args:
            expected: the computed bars by the number of their minute; emptied.
            stored: the table's rows, with `minute` as a number.
            waiting: minutes in flight, sorted: neither compared nor missed.
        """
        minutes: Ints = stored["minute"].to_numpy()
        self._keys.count(len(minutes))
        held, times = np.unique(minutes, return_counts=True)
        twice = held[times > 1]
        self._keys.fail(int((times - 1).sum()), (f"twice: {self._minutes.text(m)}" for m in twice.tolist()))
        open_minutes = set(np.unique(waiting[contains(held, waiting)]).tolist())
        self._values.note("bars in flight", int(contains(waiting, minutes).sum()))
        compared = 0
        columns = [scaled_ints(stored[name]) if name in SCALES else stored[name].to_pylist() for name in BAR_COLUMNS]
        for minute, *values in zip(minutes.tolist(), *columns, strict=True):
            if minute in open_minutes:
                expected.pop(minute, None)
                continue
            compared += 1
            bar = expected.pop(minute, None)
            if bar is None:
                self._values.fail(1, [f"{self._minutes.text(minute)}: {self._nothing}"])
            elif bar != tuple(values):
                self._values.fail(1, [f"{self._minutes.text(minute)}: {_difference(bar, values)}"])
        self._values.count(compared)
        missing = [minute for minute in expected if not _has(waiting, minute)]
        self._values.note("minutes in flight without a bar", len(expected) - len(missing))
        self._values.fail(len(missing), (f"{self._minutes.text(minute)}: no bar" for minute in sorted(missing)))

    def results(self) -> list[CheckResult]:
        """Close the checks of keys and values."""
        return [self._keys.result(), self._values.result()]


class BarsCheck:
    """Collects trades, candles and bars by minute, then compares part by part.

    Args:
        minutes: numbers of minutes.
        folder: for rows put aside.
        parts: into how many parts.
        examples: failures shown per check.
    """

    def __init__(self, minutes: Minutes, folder: Path, parts: int, examples: int) -> None:
        self._minutes = minutes
        self._trades = Spill(folder, "minute.trades", pa.schema(_TRADE_COLUMNS.items()), parts)
        candle = {"minute": pa.int64(), **_CANDLE_COLUMNS, "trade_count": pa.int64()}
        self._candles = Spill(folder, "minute.candles", pa.schema(candle.items()), parts)
        self._bars = Spill(folder, "minute.bars", pa.schema([("minute", pa.int64()), *BAR_COLUMNS.items()]), parts)
        self._waiting: list[Ints] = []
        self._comparison = BarComparison(
            "silver.one_minute_bars",
            "each equals what trades and candles give, to the last digit; none is missing",
            "no trade or candle of that minute",
            minutes,
            examples,
        )

    def add_trades(self, batch: Any, in_flight: bool) -> None:
        """Add rows of silver.trades; in flight when aggregate has not settled them yet."""
        number = self._numbered(batch, "event_time", in_flight)
        columns = {
            "minute": pa.array(number),
            "event_us": batch.column("event_time").cast(pa.int64()),
            "buy": pa.compute.equal(batch.column("side"), "buy"),
        }
        self._spill(self._trades, batch, number, columns)

    def add_candles(self, batch: Any, in_flight: bool) -> None:
        """Add rows of silver.candles."""
        number = self._numbered(batch, "minute", in_flight)
        self._spill(self._candles, batch, number, {"minute": pa.array(number)})

    def add_bars(self, batch: Any) -> None:
        """Add rows of silver.one_minute_bars."""
        number = self._numbered(batch, "minute", False)
        self._comparison.note("revised by late trades", len(batch.column("revised_at").drop_null()))
        self._spill(self._bars, batch, number, {"minute": pa.array(number)})

    def in_flight(self) -> Ints:
        """The minutes that aggregate has not settled yet, sorted."""
        joined = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *self._waiting]))
        self._waiting = [joined]
        return joined

    def results(self) -> list[CheckResult]:
        """Compare all parts and close the checks."""
        waiting = self.in_flight()
        for part in range(self._bars.parts):
            expected = dict(_candle_bars(self._candles.read(part)))
            for minute, bar in _trade_bars(self._trades.read(part)):
                candle = expected.get(minute)
                if candle is None or bar.trade_count >= candle.trade_count:
                    expected[minute] = bar
            self._comparison.take(expected, self._bars.read(part), waiting)
        return self._comparison.results()

    def _numbered(self, batch: Any, time: str, in_flight: bool) -> Ints:
        number = self._minutes.of(batch, time)
        if in_flight:
            self._waiting.append(np.unique(number))
        return number

    @staticmethod
    def _spill(spill: Spill, batch: Any, number: Ints, columns: dict[str, Any]) -> None:
        arrays = [columns.get(name, batch.column(name) if name not in columns else None) for name in spill.schema.names]
        spill.write(pa.RecordBatch.from_arrays(arrays, schema=spill.schema), spread(number))


def _has(held: Ints, wanted: int) -> bool:
    at = int(np.searchsorted(held, wanted))
    return at < len(held) and int(held[at]) == wanted


def _trade_bars(trades: Any) -> Iterator[tuple[int, Bar]]:
    if not trades.num_rows:
        return
    trades = trades.take(pa.array(_order(trades)))
    minutes: Ints = trades["minute"].to_numpy()
    prices, quantities = scaled_ints(trades["price"]), scaled_ints(trades["quantity"])
    buys: Bools = trades["buy"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], minutes[1:] != minutes[:-1]])).tolist()
    for start, end in zip(starts, [*starts[1:], len(minutes)], strict=True):
        yield (
            int(minutes[start]),
            _trade_bar(prices[start:end], quantities[start:end], buys[start:end].tolist()),  # type: ignore[arg-type]
        )


def _trade_bar(prices: list[int], quantities: list[int], buys: list[bool]) -> Bar:
    """Make a bar of the trades of one minute in their order; prices in 1e-12, quantities in 1e-8."""
    count, price_sum = len(prices), sum(prices)
    amount = fits(sum(map(mul, prices, quantities)), MAX_DIGITS)
    volume = fits(sum(quantities), VOLUME.precision)
    buy_volume = fits(sum(quantity for quantity, buy in zip(quantities, buys, strict=True) if buy), VOLUME.precision)
    stored_sum = fits(price_sum * 10**8, MAX_DIGITS)
    return Bar(
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=volume,
        buy_volume=buy_volume,
        amount=amount,
        price_sum=stored_sum,
        average_price=fits(half_up(price_sum * 10**4, count), AVERAGE.precision),
        vwap=vwap(amount, volume),
        trade_count=count,
        origin="trades",
    )


def vwap(amount: int | None, volume: int | None) -> int | None:
    """Divide an amount in 1e-20 by a volume in 1e-8: half up to 24 decimals, then half up to 16."""
    if amount is None or not volume:
        return None
    return fits(half_up(half_up(amount * 10**12, volume), 10**8), AVERAGE.precision)


def _candle_bars(candles: Any) -> Iterator[tuple[int, Bar]]:
    names = (*_CANDLE_COLUMNS, "trade_count")
    columns = [scaled_ints(candles[name]) if name in SCALES else candles[name].to_pylist() for name in names]
    for minute, *values, count in zip(candles["minute"].to_pylist(), *columns, strict=True):
        if count:
            volume, amount = values[4], values[6]
            yield minute, Bar._make([*values, None, None, vwap(amount, volume), count, "klines"])


def _order(trades: Any) -> Ints:
    """Sort by minute, event time, then trade id as a number, else the venue's order and key, else as received."""
    ordered = pa.compute.is_valid(trades["venue_sequence"])
    keys = [
        _filled(trades["row"]),
        _filled(trades["sequence"]),
        _rank(trades["session_id"]),
        _rank(pa.compute.if_else(ordered, trades["trade_key"], None)),
        _filled(trades["venue_sequence"]),
        _filled(trades["trade_id"]),
        _filled(trades["event_us"]),
        _filled(trades["minute"]),
    ]
    return np.lexsort(keys)


def _rank(texts: Any) -> Ints:
    texts = texts.combine_chunks().fill_null("")
    names = pa.array(sorted(set(texts.unique().to_pylist())), pa.string())
    return _filled(pa.compute.index_in(texts, value_set=names))


def _filled(column: Any) -> Ints:
    result: Ints = np.asarray(pa.compute.fill_null(column, -1).to_numpy(), dtype=np.int64)
    return result


def _difference(bar: Bar, values: list[Any]) -> str:
    wrong = [(name, *pair) for name, *pair in zip(BAR_COLUMNS, values, bar, strict=True) if pair[0] != pair[1]]
    return ", ".join(f"{name} is {_text(name, held)}, computed {_text(name, made)}" for name, held, made in wrong)


def _text(name: str, value: Any) -> str:
    return as_text(value, SCALES[name]) if name in SCALES else str(value)
