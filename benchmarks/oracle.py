"""What must come out of a load, worked out from its ledger with whole numbers, and whether a lake says the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from benchmarks.load import UNITS, Load
from lakehouse.errors import CryptolakeError

BarKey = tuple[str, int]  # symbol, start of the minute in ms
BARS = (
    *("open", "high", "low", "close", "volume", "buy_volume", "amount", "price_sum", "average_price", "vwap"),
    "trade_count",
)
_EXACT = Context(prec=76)
_SHOWN = 3


class WrongFiguresError(CryptolakeError):
    """A lake says something else than the oracle: what it did has no time."""


@dataclass(frozen=True)
class Tables:
    """Where the tables of a lake, ours or a peer's, are."""

    frames: Path
    trades: Path
    bars: Path
    quarantine: Path

    @classmethod
    def of(cls, lake: Path) -> Tables:
        """The tables of a lake with our names."""
        return cls(
            lake / "bronze/frames", lake / "silver/trades", lake / "silver/one_minute_bars", lake / "silver/quarantine"
        )


def check(loads: Sequence[Load], tables: Tables) -> dict[str, int]:
    """Compare a lake with what its loads must become: every row and every digit.

    Args:
        loads: all that was published, one stretch after the other.
        tables: the lake's.

    Returns:
        how many rows were compared, by table.

    Raises:
        WrongFiguresError: with the first differences.
    """
    check_rows(loads, tables)
    with _engine(loads) as engine:
        wanted = _expected_bars(engine)
    found = _bars_of(tables.bars)
    _raise_if_any(
        tables.bars,
        [
            f"{key}: wanted {wanted.get(key)}, found {found.get(key)}"
            for key in wanted.keys() | found.keys()
            if wanted.get(key) != found.get(key)
        ],
    )
    counts = [load.counts() for load in loads]
    return {"frames": sum(c["frames"] for c in counts), "trades": sum(c["trades"] for c in counts), "bars": len(wanted)}


def check_rows(loads: Sequence[Load], tables: Tables) -> None:
    """Compare all but the bars.

    Args:
        loads: all that was published, one stretch after the other.
        tables: the lake's.

    Raises:
        WrongFiguresError: with the first differences.
    """
    with _engine(loads) as engine:
        _check_counts(engine, loads, tables)
        _check_trades(engine, tables.trades)


def _engine(loads: Iterable[Load]) -> duckdb.DuckDBPyConnection:
    """DuckDB with all trades of the loads in its table `ledger`."""
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'")
    engine.execute("CREATE TABLE ledger (symbol TEXT, id BIGINT, p BIGINT, q BIGINT, ms BIGINT, maker BOOLEAN)")
    for load in loads:
        for chunk in load.ledger():
            engine.register("chunk", chunk)
            engine.execute(
                "INSERT INTO ledger SELECT symbol, trade_id, price, quantity, event_ms, buyer_is_maker FROM chunk"
            )
    return engine


def _check_counts(engine: duckdb.DuckDBPyConnection, loads: Iterable[Load], tables: Tables) -> None:
    counts = [load.counts() for load in loads]
    wanted = {
        tables.frames: sum(c["frames"] for c in counts),
        tables.trades: sum(c["trades"] for c in counts),
        tables.quarantine: sum(c["malformed"] for c in counts),
    }
    for folder, rows in wanted.items():
        engine.register(
            "held", DeltaTable(str(folder)).to_pyarrow_dataset().scanner(["partition", "offset"]).to_reader()
        )
        query = 'SELECT count(*), count(DISTINCT ("partition", "offset")) FROM held'
        there, different = engine.sql(query).fetchall()[0]
        told = f"{rows} rows wanted, {there} there, of {different} frames"
        _raise_if_any(folder, [] if {there, different} == {rows} else [told])


def _check_trades(engine: duckdb.DuckDBPyConnection, folder: Path) -> None:
    engine.register("held", _rows_of(folder, ["symbol", "trade_id", "price", "quantity", "event_time", "side"]))
    different = engine.sql(f"""
        SELECT symbol, trade_id, price, quantity, epoch_ms(event_time), side FROM held
        EXCEPT
        SELECT symbol, id, (p * 0.00000001::DECIMAL(9, 8))::DECIMAL(24, 12),
               (q * 0.00000001::DECIMAL(9, 8))::DECIMAL(24, 8), ms, if(maker, 'sell', 'buy') FROM ledger
        LIMIT {_SHOWN}
    """).fetchall()  # noqa: S608 - a number
    _raise_if_any(folder, [f"not in the ledger: {row}" for row in different])


def _expected_bars(engine: duckdb.DuckDBPyConnection) -> dict[BarKey, tuple[Any, ...]]:
    rows = engine.sql("""
        SELECT symbol, ms - ms % 60000, arg_min(p, place), max(p), min(p), arg_max(p, place), sum(q::HUGEINT),
               sum(if(maker, 0, q)::HUGEINT), sum(p::HUGEINT * q), sum(p::HUGEINT), count(*)
        FROM (SELECT *, ms::HUGEINT * 1000000000000 + id AS place FROM ledger) GROUP BY 1, 2
    """)
    expected = {}
    for symbol, minute, opened, high, low, closed, volume, buys, amount, price_sum, count in rows.fetchall():
        expected[symbol, minute] = (
            *(_decimal(value, 8) for value in (opened, high, low, closed, volume, buys)),
            _decimal(amount, 16),
            _decimal(price_sum, 8),
            _decimal(_half_up(price_sum * UNITS, count), 16),
            _decimal(_half_up(_half_up(amount * 10**16, volume), UNITS), 16),
            count,
        )
    return expected


def _rows_of(folder: Path, columns: Sequence[str]) -> pa.RecordBatchReader:
    return DeltaTable(str(folder)).to_pyarrow_dataset().scanner(list(columns)).to_reader()


def _decimal(whole: int, decimals: int) -> Decimal:
    return _EXACT.scaleb(Decimal(whole), -decimals)


def _half_up(value: int, by: int) -> int:
    """Divide whole numbers of which none is negative."""
    return (2 * value + by) // (2 * by)


def _bars_of(folder: Path) -> dict[BarKey, tuple[Any, ...]]:
    bars = DeltaTable(str(folder)).to_pyarrow_table(columns=["symbol", "minute", *BARS])
    minutes = bars["minute"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_pylist()
    values = zip(*(bars[name].to_pylist() for name in BARS), strict=True)
    keys = zip(bars["symbol"].to_pylist(), minutes, strict=True)
    found = dict(zip(keys, values, strict=True))
    _raise_if_any(folder, [f"{bars.num_rows - len(found)} bars are there twice"] if len(found) < bars.num_rows else [])
    return found


def _raise_if_any(folder: Path, problems: Sequence[str]) -> None:
    if problems:
        raise WrongFiguresError("; ".join([f"{folder}: {len(problems)} differ", *problems[:_SHOWN]]))
