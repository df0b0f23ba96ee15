"""How long the audit takes and how much memory it needs: python benchmarks/bench_audit.py --trades 2000000.

Writes a lake of Binance trades with delta-rs (no Spark), correct to the last digit, then audits all of it, and what
came with its newest trades, in processes of their own; prints seconds (of the clock, and of the processor) and peak
resident memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from bronze.tables import FRAMES
from lakehouse.marks import note_of
from lakehouse.table import Table
from silver import tables as silver

START_US = 1_723_161_600_000_000
MINUTE_US = 60_000_000
SYMBOLS = tuple(
    f"{base}-USDT" for base in "BTC ETH SOL XRP BNB DOGE ADA AVAX LINK LTC TRX DOT BCH UNI NEAR APT".split()
)


def main() -> None:
    """Parse the command line, write the lake, audit it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=2_000_000)
    parser.add_argument("--per-minute", type=int, default=40, help="trades a minute and symbol")
    parser.add_argument("--per-commit", type=int, default=10_000, help="trades a commit, and so a file")
    parser.add_argument("--newest", type=int, default=20_000, help="trades that came since, in the second audit")
    parser.add_argument("--home", type=Path, default=None, help="use this folder, and keep it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        home = given.home or Path(spare)
        started = time.monotonic()
        write_lake(home, given.trades, given.per_minute, given.per_commit)
        print(f"wrote {given.trades:,} trades in {time.monotonic() - started:.0f} s")
        code = measure(home, None, given.trades)
        per_us = given.per_minute * len(SYMBOLS) / MINUTE_US
        code |= measure(home, START_US + int((given.trades - given.newest) / per_us), given.newest)
    sys.exit(code)


def measure(home: Path, since_us: int | None, trades: int) -> int:
    """Audit once, print what it cost, and give the exit code."""
    seconds, cpu_s, peak_mib, code = audit_alone(home, since_us)
    what = "all" if since_us is None else "what came since"
    print(
        f"{what}: {seconds:.1f} s, {cpu_s:.1f} cpu-s ({cpu_s / trades * 1e6:.1f} us a trade), peak {peak_mib:,.0f} MiB"
    )
    return code


def audit_alone(home: Path, since_us: int | None) -> tuple[float, float, float, int]:
    """Audit in a process of its own; give seconds, seconds of processor, peak memory in MiB, and the exit code."""
    program = (
        "import sys, time; from pathlib import Path; from lakehouse.settings import load_settings;"
        "from cryptolake.audit.run import audit; from cryptolake.audit.console import print_report;"
        "from cryptolake.audit.reach import Since;"
        "since = [Since(int(us)) for us in sys.argv[2:]];"
        "began = time.process_time(); report = audit(load_settings(home=Path(sys.argv[1])), None, *since);"
        "code = print_report(report);"
        "print(f'{time.process_time() - began:.2f} cpu-s without the start of the process');"
        "sys.exit(code)"
    )
    arguments = [str(home)] + ([] if since_us is None else [str(since_us)])
    started = time.monotonic()
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", program, *arguments])  # noqa: S606
    _, status, usage = os.wait4(child, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    return time.monotonic() - started, cpu_s, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def write_lake(home: Path, trades: int, per_minute: int, per_commit: int) -> None:
    """Write bronze, silver.trades, both bars and trends of so many trades, and empty tables beside them."""
    for table in (FRAMES, *silver.TABLES):
        DeltaTable.create(_path(home, table), schema=_schema(table), mode="ignore")
    minutes = max(1, trades // (per_minute * len(SYMBOLS)))
    bars: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in SYMBOLS}
    windows: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    offset = written = 0
    for trade in _trades(minutes, per_minute, bars, windows):
        rows.append(trade)
        if len(rows) == per_commit:
            offset, written = _append(home, rows, offset), written + 1
            rows = []
    written += 1
    _append(home, rows, offset)
    marks = {f"silver.trades/refine/{_table_id(home, FRAMES)}": written}
    _write(home, silver.TRADES, [], marks)
    _write(home, silver.ONE_MINUTE_BARS, [bar for held in bars.values() for bar in held], {})
    marks = {f"silver.five_minute_bars/aggregate/{_table_id(home, silver.ONE_MINUTE_BARS)}": 1}
    _write(home, silver.FIVE_MINUTE_BARS, windows, marks)
    sources = (silver.TRADES, silver.CANDLES)
    marks = {f"silver.six_minute_trends/aggregate/{_table_id(home, t)}": written + 1 for t in sources}
    _write(home, silver.SIX_MINUTE_TRENDS, [trend for held in bars.values() for trend in _trends(held)], marks)


def _trades(
    minutes: int, per_minute: int, bars: dict[str, list[dict[str, Any]]], windows: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    draw = np.random.default_rng(7)
    five: dict[str, list[tuple[int, int, bool]]] = {symbol: [] for symbol in SYMBOLS}
    for minute in range(minutes):
        for number, symbol in enumerate(SYMBOLS):
            start = START_US + minute * MINUTE_US
            cents = draw.integers(5_000_000, 7_000_000, per_minute).tolist()
            lots = draw.integers(1, 300_000, per_minute).tolist()
            times = (start + np.sort(draw.integers(0, 60_000, per_minute)) * 1000).tolist()
            buys = (draw.random(per_minute) < 0.5).tolist()
            bars[symbol].append(_bar(symbol, start, cents, lots, buys))
            five[symbol] += zip(cents, lots, buys, strict=True)
            if minute % 5 == 4 or minute == minutes - 1:
                window = _bar(symbol, start, *(list(values) for values in zip(*five[symbol], strict=True)))
                windows.append({**window, "window_start": START_US + minute // 5 * 5 * MINUTE_US})
                five[symbol].clear()
            for i in range(per_minute):
                yield {
                    "symbol": symbol,
                    "trade_id": number * 10**9 + minute * per_minute + i,
                    "cents": cents[i],
                    "lots": lots[i],
                    "us": times[i],
                    "buy": buys[i],
                }


def _bar(symbol: str, start: int, cents: list[int], lots: list[int], buys: list[bool]) -> dict[str, Any]:
    volume, count = sum(lots), len(lots)
    amount = sum(price * size for price, size in zip(cents, lots, strict=True))
    vwap_24 = _half_up(amount * 10**22, volume)  # amount in 1e-7, volume in 1e-5
    return {
        "venue": "binance",
        "symbol": symbol,
        "minute": start,
        **{name: _text(value, 2) for name, value in zip(("open", "close"), (cents[0], cents[-1]), strict=True)},
        "high": _text(max(cents), 2),
        "low": _text(min(cents), 2),
        "volume": _text(volume, 5),
        "buy_volume": _text(sum(size for size, buy in zip(lots, buys, strict=True) if buy), 5),
        "amount": _text(amount, 7),
        "price_sum": _text(sum(cents), 2),
        "average_price": _text(_half_up(sum(cents) * 10**14, count), 16),
        "vwap": _text(_half_up(vwap_24, 10**8), 16),
        "trade_count": count,
        "origin": "trades",
        "revised_at": None,
        "average": _half_up(sum(cents) * 10**14, count),
    }


def _trends(bars: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for at, bar in enumerate(bars):
        six = [each["average"] for each in bars[max(0, at - 5) : at + 1]]
        difference = 100 * (six[-1] - six[0]) * 10**8
        change = _half_up(abs(difference), six[0]) * (1 if difference >= 0 else -1)
        yield {
            **{name: bar[name] for name in ("venue", "symbol", "minute", "revised_at")},
            "average_price": _text(_half_up(sum(six), len(six)), 16),
            "minutes_present": len(six),
            "change_pct": _text(change, 8),
            "trend": "flat" if change == 0 else "up" if change > 0 else "down",
        }


def _append(home: Path, rows: list[dict[str, Any]], offset: int) -> int:
    frames, trades = [], []
    ingested = rows[-1]["us"] + 50_000 if rows else 0  # one time a batch, as it is landed
    for number, row in enumerate(rows, offset):
        name, received = row["symbol"].replace("-", ""), row["us"] + 50_000
        price, quantity, ms = _text(row["cents"], 2), _text(row["lots"], 5), row["us"] // 1000
        place = {"topic_id": "bench-topic-id-1234567", "topic": "binance.trade", "partition": 0, "offset": number}
        carried = {"session_id": "01J4Y8Z3W6BENCHBENCHBENCH0", "sequence": number, "received_at": received}
        payload = (
            f'{{"e":"trade","E":{ms},"s":"{name}","t":{row["trade_id"]},"p":"{price}","q":"{quantity}","T":{ms},'
            f'"m":{"false" if row["buy"] else "true"},"M":true}}'
        )
        shared = {**place, **carried, "venue": "binance", "origin": "stream"}
        frames.append(
            {**shared, "channel": "trade", "key": f"{name.lower()}@trade", "payload": payload.encode()}
            | {"kafka_time": received, "ingested_at": ingested}
        )
        base = row["symbol"].partition("-")[0]
        trades.append(
            {**shared, "symbol": row["symbol"], "trade_key": str(row["trade_id"]), "base": base, "quote": "USDT"}
            | {
                "venue_symbol": name,
                "trade_id": row["trade_id"],
                "venue_sequence": None,
                "side": "buy" if row["buy"] else "sell",
            }
            | {"price": price, "quantity": quantity, "event_time": row["us"], "row": 0, "rescued": None}
        )
    _write(home, FRAMES, frames, {})
    _write(home, silver.TRADES, trades, {})
    return offset + len(rows)


def _write(home: Path, table: Table, rows: list[dict[str, Any]], marks: dict[str, int]) -> None:
    arrays = []
    for field in _schema(table):
        values = [row.get(field.name) for row in rows]
        raw = (
            pa.int64()
            if pa.types.is_timestamp(field.type)
            else pa.string()
            if pa.types.is_decimal(field.type)
            else None
        )
        arrays.append(pa.array(values, raw or field.type).cast(field.type))
    data = pa.Table.from_arrays(arrays, schema=_schema(table))
    properties = CommitProperties({"userMetadata": note_of(marks)}) if marks else None
    write_deltalake(_path(home, table), data, mode="append", commit_properties=properties)


def _schema(table: Table) -> Any:
    utc = pa.timestamp("us", tz="UTC")
    fields = to_arrow_schema(table.schema)
    return pa.schema([pa.field(f.name, utc if pa.types.is_timestamp(f.type) else f.type) for f in fields])


def _path(home: Path, table: Table) -> str:
    return str(home / "lake" / table.name.replace(".", "/"))


def _table_id(home: Path, table: Table) -> str:
    return str(DeltaTable(_path(home, table)).metadata().id)


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _text(value: int, decimals: int) -> str:
    digits = str(abs(value)).rjust(decimals + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


if __name__ == "__main__":
    main()
