"""The collector apart: how soon what a venue says over its websocket is in Kafka, and what that takes.

The simulator is the venue. The topic has the broker's own times, so that a trade is in Kafka when the broker says that
it has it; its latency goes from the time of the trade, before which the simulator could not have said it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from benchmarks.commits import percentiles
from benchmarks.load import TOPIC
from benchmarks.oracle import WrongFiguresError
from benchmarks.site import Process, Site, site, wait_for
from benchmarks.usage import Usage
from bronze.kafka_client import admin_client, client_config

WARM_UP_S = 10.0
_STARTED_S, _COMPLETE_S = 30.0, 120.0
_READ_AT_ONCE = 10_000
Key = tuple[str, int]  # symbol and id
Said = tuple[str, str]  # price and quantity


@dataclass
class Arrivals:
    """What a topic holds of Binance's trades.

    Args:
        consumer: reads the whole topic.
        trades: what was said of each.
        copies: how often a trade came once more.
        streamed: of each trade of a stream, when it was traded, received and appended to the topic (ms).
    """

    consumer: Any
    trades: dict[Key, Said] = field(default_factory=dict)
    copies: int = 0
    streamed: list[tuple[int, int, int]] = field(default_factory=list)

    def read(self) -> None:
        """Take what has come up to now."""
        ends = self.consumer.end_offsets(self.consumer.assignment())
        while any(self.consumer.position(part) < end for part, end in ends.items()):
            for records in self.consumer.poll(timeout_ms=500, max_records=_READ_AT_ONCE).values():
                for record in records:
                    self._take(record)

    def _take(self, record: Any) -> None:
        said, headers = json.loads(record.value), dict(record.headers)
        if headers["origin"] == b"backfill":
            for row in said:
                self._hold((record.key.decode(), row["id"]), (row["price"], row["qty"]))
        elif "data" in said:
            trade = said["data"]
            self._hold((trade["s"], trade["t"]), (trade["p"], trade["q"]))
            self.streamed.append((trade["T"], int(headers["received_at_us"]) // 1_000, record.timestamp))

    def _hold(self, key: Key, said: Said) -> None:
        self.copies += key in self.trades
        self.trades[key] = said


def collector(folder: Path, rates_per_s: Sequence[int], seconds: float, warm_up_s: float = WARM_UP_S) -> dict[str, Any]:
    """Let a collector carry a steady market, at one rate after the other; figures only if every trade is in Kafka.

    Args:
        folder: for everything.
        rates_per_s: of the market's trades.
        seconds: how long each is measured.
        warm_up_s: how long it runs before.
    """
    return {"rates": [_at_rate(folder / str(rate), rate, seconds, warm_up_s) for rate in rates_per_s]}


def _at_rate(folder: Path, rate: int, seconds: float, warm_up_s: float) -> dict[str, Any]:
    folder.mkdir(parents=True)
    ledger = folder / "ledger.jsonl"
    market = Process(
        ["simulator", "--home", str(folder / "market"), "--ledger", str(ledger)],
        folder / "market",
        {"CRYPTOLAKE__SIMULATOR__RATE_PER_S": str(rate), "CRYPTOLAKE__SIMULATOR__START_BACK_S": "0"},
    )
    with site(folder) as at, _arrivals(at) as arrivals:
        carrier = Process(["cryptolake", "--home", str(folder / "home"), "collect", "binance"], folder / "home")
        pids = {"collector": lambda: carrier.pid, "broker": lambda: at.broker_pid, "market": lambda: market.pid}
        try:
            carrier.variables = _started(market, folder / "port.json")
            carrier.variables["CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS"] = at.bootstrap_servers
            with Usage(pids) as usage:
                carrier.start()
                wait_for(lambda: ledger.stat().st_size > 0, "trades", _STARTED_S)
                time.sleep(warm_up_s)
                from_s = time.time()
                time.sleep(seconds)
                to_s = time.time()
                trades = compared(ledger, arrivals, to_s)
        finally:
            carrier.stop()
            market.stop()
    return {"rate_per_s": rate, "compared": {"trades": trades}, "copies": arrivals.copies} | _figures(
        arrivals, usage, from_s, to_s
    )


@contextmanager
def _arrivals(at: Site) -> Iterator[Arrivals]:
    """A topic with the broker's times, and what comes into it."""
    admin = admin_client(at.settings, at.bootstrap_servers)
    partitions = at.settings.kafka.partitions
    shape = {"num_partitions": partitions, "configs": {"message.timestamp.type": "LogAppendTime"}}
    admin.create_topics({TOPIC: shape})
    admin.wait_for_topics([TOPIC])
    admin.close()
    consumer = KafkaConsumer(**client_config(at.settings, at.bootstrap_servers), enable_auto_commit=False)
    consumer.assign([TopicPartition(TOPIC, number) for number in range(partitions)])
    consumer.seek_to_beginning()
    try:
        yield Arrivals(consumer)
    finally:
        consumer.close()


def _started(market: Process, port_file: Path) -> dict[str, str]:
    """Start a market; give the settings that point a collector at it."""
    market.start("--port-file", str(port_file))
    wait_for(port_file.exists, "the simulator's port", _STARTED_S)
    urls = json.loads(port_file.read_text(encoding="utf-8"))
    return {f"CRYPTOLAKE__VENUES__BINANCE__{name.upper()}": urls[name] for name in ("ws_url", "rest_url")}


def compared(ledger: Path, arrivals: Arrivals, until_s: float, timeout_s: float = _COMPLETE_S) -> int:
    """Wait until all trades of the ledger up to a time are in Kafka; say how many were the same there.

    Args:
        ledger: of the simulator.
        arrivals: what has come.
        until_s: seconds since 1970.
        timeout_s: how long what lacks is waited for.

    Raises:
        WrongFiguresError: some are not there in time, or say something else.
    """
    wanted = _ledger_trades(ledger, until_s)
    deadline = time.monotonic() + timeout_s
    while lacking := wanted.keys() - arrivals.trades.keys():
        if time.monotonic() > deadline:
            raise WrongFiguresError(
                f"{len(lacking)} of {len(wanted)} trades are not in Kafka, as {sorted(lacking)[:3]}"
            )
        arrivals.read()
    if other := [key for key, said in wanted.items() if arrivals.trades[key] != said]:
        raise WrongFiguresError(f"{len(other)} of {len(wanted)} trades differ in Kafka, as {sorted(other)[:3]}")
    return len(wanted)


def _ledger_trades(ledger: Path, until_s: float) -> dict[Key, Said]:
    whole_lines = ledger.read_bytes().rpartition(b"\n")[0].splitlines()
    rows = [json.loads(line) for line in whole_lines]
    return {
        (row["symbol"], row["id"]): (row["price"], row["quantity"])
        for row in rows
        if row["event_time_us"] < until_s * 1e6
    }


def _figures(arrivals: Arrivals, usage: Usage, from_s: float, to_s: float) -> dict[str, Any]:
    traded, received, appended = np.array(arrivals.streamed, dtype=np.int64).T / 1e3
    within = (from_s <= traded) & (traded < to_s)
    trades, seconds = int(within.sum()), to_s - from_s
    return {
        "seconds": round(seconds, 1),
        "trades_per_s": round(trades / seconds),
        "received_s": percentiles((received - traded)[within]),
        "in_kafka_s": percentiles((appended - traded)[within]),
        **{f"{name}_cores": round(usage.cpu_s(name, from_s, to_s) / seconds, 2) for name in usage.pids},
        "cpu_s_per_million": round(usage.cpu_s("collector", from_s, to_s) / trades * 1e6, 1),
        "peak_rss_mb": round(usage.peak_rss_mb("collector", from_s, to_s)),
    }
