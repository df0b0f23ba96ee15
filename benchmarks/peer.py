"""The same topic to the same answer in plain Python: confluent-kafka, pyarrow, DuckDB and delta-rs in one process.

Raw frames, each trade once, what cannot be used, and exact one-minute bars, closed and corrected by our rules. It keeps
every trade in memory, asks nothing of its tables, and so does not survive its own end; further copies are not compared
with the first, and there are no gaps, trends or five-minute bars. That is what two hundred lines buy.

python -m benchmarks.peer BOOTSTRAP_SERVERS FOLDER [--until-idle]
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Collection, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from benchmarks.load import TOPIC
from benchmarks.oracle import BARS, Tables

_MOST_AT_ONCE, _WAIT_S = 100_000, 0.1
_LATENESS_MS, _SKEW_MS, _CORRECTIONS_S = 5_000, 5_000, 30
_MINUTE_MS = 60_000
_UTC = pa.timestamp("us", tz="UTC")
_FORM = (
    r'^\{"e":"trade","E":\d{13},"s":"(?P<symbol>[A-Z0-9]+)USDT","t":(?P<id>\d{1,18}),"p":"(?P<price>\d{1,10}\.\d{8})",'
    r'"q":"(?P<quantity>\d{1,10}\.\d{8})","T":(?P<ms>\d{13}),"m":(?P<maker>true|false),"M":(?:true|false)\}$'
)
_EXACT = Context(prec=76)
_FRAMES = pa.schema(
    [("partition", pa.int32()), ("offset", pa.int64()), ("key", pa.binary()), ("received_at", _UTC),
     ("payload", pa.binary())]
)  # fmt: skip
_DECIMALS = {
    **dict.fromkeys(("open", "high", "low", "close", "volume", "buy_volume"), pa.decimal128(34, 8)),
    **{"amount": pa.decimal128(38, 16), "price_sum": pa.decimal128(38, 8)},
    **dict.fromkeys(("average_price", "vwap"), pa.decimal128(28, 16)),
}
_BARS = pa.schema([("symbol", pa.string()), ("minute", _UTC), *_DECIMALS.items(), ("trade_count", pa.int64())])

Minute = tuple[str, int]


class Peer:
    """All of it but Kafka: takes frames, writes tables.

    Args:
        tables: where to write.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._engine = duckdb.connect()
        self._engine.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        self._engine.execute(
            "CREATE TABLE trades (symbol TEXT, id BIGINT, price DECIMAL(18, 8), quantity DECIMAL(18, 8), ms BIGINT,"
            " side TEXT)"
        )
        self._reached_ms: dict[int, int] = {}
        self._open: set[Minute] = set()
        self._late: set[Minute] = set()
        self._closed_until_ms = 0
        self._corrected_s = time.monotonic()

    def take(self, frames: pa.Table) -> None:
        """Carry one batch into all tables."""
        _append(self._tables.frames, frames)
        fields = pc.extract_regex(frames["payload"].combine_chunks(), _FORM)
        good = fields.is_valid()
        if good.true_count < len(good):
            _append(self._tables.quarantine, frames.filter(pc.invert(good)))
        held = frames.filter(good)
        parsed = pa.table(
            {name: held[name] for name in ("partition", "offset", "received_at")} | _columns(fields, good)
        )
        self._add(parsed)
        self._close()

    def close_all(self) -> None:
        """Close every minute that is open, and correct those that were closed too early."""
        self._write({*self._open}, append=True)
        self._correct()

    def _add(self, parsed: pa.Table) -> None:
        self._engine.register("parsed", parsed)
        new = self._engine.sql("""
            SELECT symbol, CAST(id AS BIGINT) AS id, CAST(price AS DECIMAL(18, 8)) AS price,
                   CAST(quantity AS DECIMAL(18, 8)) AS quantity, CAST(ms AS BIGINT) AS ms,
                   if(maker = 'true', 'sell', 'buy') AS side, "partition", "offset", received_at
            FROM parsed QUALIFY row_number() OVER (PARTITION BY symbol, id ORDER BY "partition", "offset") = 1
        """)
        rows = self._engine.sql("SELECT * FROM new ANTI JOIN trades USING (symbol, id)").to_arrow_table()
        del new
        if not rows.num_rows:
            return
        self._engine.register("rows", rows)
        self._engine.execute("INSERT INTO trades SELECT symbol, id, price, quantity, ms, side FROM rows")
        named = self._engine.sql("""
            SELECT symbol || '-USDT' AS symbol, id AS trade_id, side, price, quantity,
                   make_timestamptz(ms * 1000) AS event_time, received_at, "partition", "offset" FROM rows
        """).to_arrow_table()
        _append(self._tables.trades, named)
        for symbol, minute_ms in self._engine.sql("SELECT DISTINCT symbol, ms - ms % 60000 FROM rows").fetchall():
            closed = minute_ms + _MINUTE_MS <= self._closed_until_ms
            (self._late if closed else self._open).add((symbol, minute_ms))
        reached = self._engine.sql(
            f'SELECT "partition", max(least(ms, epoch_ms(received_at) + {_SKEW_MS})) FROM rows GROUP BY ALL'  # noqa: S608
        )
        for partition, ms in reached.fetchall():
            self._reached_ms[partition] = max(ms, self._reached_ms.get(partition, 0))

    def _close(self) -> None:
        if self._reached_ms:
            self._closed_until_ms = max(self._closed_until_ms, min(self._reached_ms.values()) - _LATENESS_MS)
        self._write({key for key in self._open if key[1] + _MINUTE_MS <= self._closed_until_ms}, append=True)
        if time.monotonic() - self._corrected_s >= _CORRECTIONS_S:
            self._correct()

    def _correct(self) -> None:
        self._write(self._late, append=False)
        self._corrected_s = time.monotonic()

    def _write(self, minutes: Collection[Minute], *, append: bool) -> None:
        if not minutes:
            return
        rows = self._bars(minutes)
        if append:
            _append(self._tables.bars, rows)
        else:
            merge = DeltaTable(str(self._tables.bars)).merge(
                rows, "t.symbol = s.symbol AND t.minute = s.minute", source_alias="s", target_alias="t"
            )
            merge.when_matched_update_all().when_not_matched_insert_all().execute()
        self._open.difference_update(minutes)
        self._late.difference_update(set(minutes))

    def _bars(self, minutes: Collection[Minute]) -> pa.Table:
        symbols, starts = zip(*sorted(minutes), strict=True)
        self._engine.register("wanted", pa.table({"symbol": pa.array(symbols), "minute": pa.array(starts, pa.int64())}))
        found = self._engine.execute(
            """
            SELECT symbol, minute, first(price ORDER BY ms, id), max(price), min(price), last(price ORDER BY ms, id),
                   sum(quantity), coalesce(sum(quantity) FILTER (side = 'buy'), 0),
                   sum(CAST(price AS DECIMAL(20, 8)) * quantity), sum(price),
                   count(*)
            FROM (SELECT *, ms - ms % 60000 AS minute FROM trades WHERE ms BETWEEN ? AND ?) SEMI JOIN wanted
            USING (symbol, minute) GROUP BY ALL
            """,
            [min(starts), max(starts) + _MINUTE_MS - 1],
        ).fetchall()
        return _table_of([_bar(*row) for row in found])


def consume(bootstrap_servers: str, peer: Peer, stop: threading.Event, *, until_idle: bool) -> None:
    """Take the topic from its beginning until it is told to stop, or has come to its end."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "peer", "enable.auto.commit": False}
        | {"fetch.wait.max.ms": 10, "queued.min.messages": 1_000_000, "queued.max.messages.kbytes": 262_144}
    )
    partitions = consumer.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions
    places = [TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions]
    ends = {place.partition: consumer.get_watermark_offsets(place, timeout=30)[1] for place in places}
    consumer.assign(places)
    print(f"began {time.time():.6f}", flush=True)
    left = {number for number, end in ends.items() if end}
    while left if until_idle else not stop.is_set():
        messages = consumer.consume(_MOST_AT_ONCE, _WAIT_S)
        if not messages:
            continue
        peer.take(_frames(messages))
        newest = {message.partition(): message.offset() for message in messages}
        left -= {number for number, offset in newest.items() if offset + 1 >= ends[number]}
    peer.close_all()
    consumer.close()


def main() -> None:
    """Run as a process."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    consume(sys.argv[1], Peer(Tables.of(Path(sys.argv[2]))), stop, until_idle="--until-idle" in sys.argv)


def _frames(messages: Sequence[Any]) -> pa.Table:
    received = [int(dict(message.headers())["received_at_us"]) for message in messages]
    columns = {
        "partition": pa.array([message.partition() for message in messages], pa.int32()),
        "offset": pa.array([message.offset() for message in messages], pa.int64()),
        "key": pa.array([message.key() for message in messages], pa.binary()),
        "received_at": pa.array(received, pa.int64()).cast(_UTC),
        "payload": pa.array([message.value() for message in messages], pa.binary()),
    }
    return pa.table(columns, schema=_FRAMES)


def _columns(fields: pa.StructArray, good: pa.BooleanArray) -> dict[str, pa.Array]:
    parts = fields.filter(good)
    names = ("symbol", "id", "price", "quantity", "ms", "maker")
    return {name: pc.struct_field(parts, name).cast(pa.string()) for name in names}


def _bar(
    symbol: str, minute: int, opened: Decimal, high: Decimal, low: Decimal, closed: Decimal, volume: Decimal,
    buys: Decimal, amount: Decimal, price_sum: Decimal, count: int,
) -> tuple[Any, ...]:  # fmt: skip
    prices = int(_EXACT.scaleb(price_sum, 8))
    average = (2 * prices * 10**8 + count) // (2 * count)
    quantity = int(_EXACT.scaleb(volume, 8))
    long = (2 * int(_EXACT.scaleb(amount, 16)) * 10**16 + quantity) // (2 * quantity)
    averages = (_EXACT.scaleb(Decimal(value), -16) for value in (average, (2 * long + 10**8) // (2 * 10**8)))
    minute_us = minute * 1_000
    return f"{symbol}-USDT", minute_us, opened, high, low, closed, volume, buys, amount, price_sum, *averages, count


def _table_of(bars: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(("symbol", "minute", *BARS), zip(*bars, strict=True), strict=True)
    arrays = {name: pa.array(values) for name, values in columns}
    arrays["minute"] = arrays["minute"].cast(_UTC)
    return pa.table({name: arrays[name].cast(_BARS.field(name).type) for name in _BARS.names}, schema=_BARS)


def _append(table: Path, rows: pa.Table) -> None:
    table.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(table), rows, mode="append")


if __name__ == "__main__":
    main()
