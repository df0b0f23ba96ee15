"""The bars of `silver.bars`, made past Spark: sums by DuckDB, in whole numbers of 128 bits, quotients by `decimal`.

What DuckDB cannot hold on the way ends its query; Spark then says which of the sums are null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import DecimalType

from lakehouse.selecting import select
from silver.bars import KEY, PRICE_SUM, VALUES
from silver.closing import FIVE_MINUTES_US, MINUTE_US
from silver.contracts.columns import AMOUNT, AVERAGE, VOLUME

# Of 34 digits by 38: a quotient that is no tie at 24 decimals is farther than 1e-80 from one.
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
_FIRST_STEP, _LAST_STEP = Decimal("1e-24"), Decimal(1).scaleb(-AVERAGE.scale)
_UTC = pa.timestamp("us", tz="UTC")


def _start_us(time: str, length_us: int) -> str:
    return f"epoch_us({time}) - ((epoch_us({time}) % {length_us}) + {length_us}) % {length_us}"


def _sql(kind: DecimalType) -> str:
    return f"DECIMAL({kind.precision}, {kind.scale})"


def _sum_of_all(column: str, kind: DecimalType) -> str:
    return f"CASE WHEN count({column}) = count(*) THEN TRY_CAST(sum({column}) AS {_sql(kind)}) END"


# Ids are compared as numbers, the order of a venue by number and key, the rest by session, sequence and row.
SUMS_OF_TRADES = f"""
    WITH placed AS (
        SELECT venue, symbol, {_start_us("event_time", MINUTE_US)} AS start_us, side, price, quantity,
            TRY(price * quantity) AS amount,
            create_sort_key(
                event_time, 'ASC NULLS LAST',
                CASE
                    WHEN trade_id IS NOT NULL THEN NULL
                    WHEN venue_sequence IS NOT NULL THEN lpad(venue_sequence::VARCHAR, 19, '0') || ':' || trade_key
                    ELSE coalesce(session_id, '')
                END, 'ASC NULLS FIRST',
                coalesce(trade_id, CASE WHEN venue_sequence IS NULL THEN sequence ELSE 0 END, 0), 'ASC NULLS FIRST',
                CASE WHEN trade_id IS NULL AND venue_sequence IS NULL THEN coalesce("row", 0) ELSE 0 END,
                'ASC NULLS FIRST'
            ) AS place
        FROM {{rows}}
    )
    SELECT venue, symbol, start_us, arg_min(price, place) AS open, max(price) AS high, min(price) AS low,
        arg_max(price, place) AS close, {_sum_of_all("quantity", VOLUME)} AS volume,
        TRY_CAST(sum(CASE WHEN side = 'buy' THEN quantity ELSE 0 END) AS {_sql(VOLUME)}) AS buy_volume,
        {_sum_of_all("amount", AMOUNT)} AS amount, {_sum_of_all("price", PRICE_SUM)} AS price_sum,
        count(*) AS trade_count, 'trades' AS origin
    FROM placed SEMI JOIN (SELECT venue, symbol, epoch_us(minute) AS start_us FROM {{keys}})
    USING (venue, symbol, start_us)
    GROUP BY venue, symbol, start_us
"""  # noqa: S608 - types and names of contracts
_OF_CANDLES = f"""
    SELECT {", ".join(KEY)}, open, high, low, close, volume, buy_volume, amount, trade_count, 'klines' AS origin
    FROM {{rows}} WHERE trade_count > 0
"""  # noqa: S608
_CHOSEN = f"""
    SELECT {", ".join((*KEY, *VALUES))} FROM {{rows}}
    QUALIFY row_number() OVER (PARTITION BY {", ".join(KEY)} ORDER BY trade_count DESC, origin = 'trades' DESC) = 1
"""  # noqa: S608
_OF_MINUTES = f"""
    WITH minutes AS (
        SELECT * REPLACE (TRY_CAST(price_sum AS {_sql(PRICE_SUM)}) AS price_sum),
            {_start_us("minute", FIVE_MINUTES_US)} AS start_us
        FROM {{rows}}
    )
    SELECT venue, symbol, start_us, arg_min(open, minute) AS open, max(high) AS high, min(low) AS low,
        arg_max(close, minute) AS close, {_sum_of_all("volume", VOLUME)} AS volume,
        {_sum_of_all("buy_volume", VOLUME)} AS buy_volume, {_sum_of_all("amount", AMOUNT)} AS amount,
        {_sum_of_all("price_sum", PRICE_SUM)} AS price_sum, sum(trade_count)::BIGINT AS trade_count,
        CASE WHEN bool_or(origin = 'klines') THEN 'klines' ELSE 'trades' END AS origin
    FROM minutes GROUP BY venue, symbol, start_us
"""  # noqa: S608


def few_bars(sums: pa.Table) -> pa.Table:
    """Make the bars that `one_minute_bars` makes.

    Args:
        sums: what SUMS_OF_TRADES finds.

    Returns:
        columns of silver.one_minute_bars without `revised_at`.
    """
    return _with_averages(sums, "minute")


def few_candle_bars(candles: pa.Table) -> pa.Table:
    """Make the bars that `candle_bars` makes.

    Args:
        candles: columns of silver.candles.

    Returns:
        columns of silver.one_minute_bars without `revised_at`.
    """
    bars = select(_OF_CANDLES, candles)
    for name, kind in (("price_sum", AMOUNT), ("average_price", AVERAGE)):
        bars = bars.append_column(name, pa.nulls(bars.num_rows, to_arrow_type(kind)))
    vwap = _averages(*(bars[name].to_pylist() for name in ("amount", "volume")))
    return bars.append_column("vwap", vwap).select([*KEY, *VALUES])


def few_chosen_bars(from_trades: pa.Table, from_candles: pa.Table) -> pa.Table:
    """Choose the bars that `chosen_bars` chooses, of the columns that it takes."""
    if not from_candles.num_rows:
        return from_trades
    return select(_CHOSEN, pa.concat_tables([from_trades, from_candles]))


def few_five_minute_bars(bars: pa.Table) -> pa.Table:
    """Make the bars that `five_minute_bars` makes, of the columns that it takes.

    Raises:
        OutOfRangeError: a sum is beyond what DuckDB adds up.
    """
    return _with_averages(select(_OF_MINUTES, bars), "window_start")


def _with_averages(sums: pa.Table, time: str) -> pa.Table:
    totals, amounts, volumes = (sums[name].to_pylist() for name in ("price_sum", "amount", "volume"))
    # DuckDB adds up somewhat more than the type holds.
    amounts = [_held(amount, AMOUNT) for amount in amounts]
    columns = {name: sums[name] for name in sums.column_names} | {
        time: sums["start_us"].cast(_UTC),
        "amount": _decimals(amounts, AMOUNT),
        "price_sum": _decimals([_held(total, AMOUNT) for total in totals], AMOUNT),
        "average_price": _averages(totals, map(Decimal, sums["trade_count"].to_pylist())),
        "vwap": _averages(amounts, volumes),
    }
    return pa.table({name: columns[name] for name in ("venue", "symbol", time, *VALUES)})


def _averages(totals: Iterable[Decimal | None], parts: Iterable[Decimal | None]) -> pa.Array:
    """Divide, half up to 24 and then to 16 decimals; null where one of the two is, or where it does not fit."""
    with localcontext(_EXACT):
        return _decimals([_average(total, part) for total, part in zip(totals, parts, strict=True)], AVERAGE)


def _average(total: Decimal | None, part: Decimal | None) -> Decimal | None:
    if total is None or not part:
        return None
    return _held((total / part).quantize(_FIRST_STEP).quantize(_LAST_STEP), AVERAGE)


def _held(value: Decimal | None, kind: DecimalType) -> Decimal | None:
    return value if value is not None and value.copy_abs() < 10 ** (kind.precision - kind.scale) else None


def _decimals(values: Sequence[Decimal | None], kind: DecimalType) -> pa.Array:
    return pa.array(values, to_arrow_type(kind))
