"""The publisher and a broker that stops answering: what comes back goes out again, at the cost of one more reading."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from bronze_kit import await_until, broker_of_its_own, topic_readers

from bronze.publisher import Publisher
from bronze.record import Position, Record
from bronze.spool import Spool
from lakehouse.settings import load_settings

RECORDS = 4_000


class CountingSpool(Spool):
    """Counts how many records were read from it."""

    records_read = 0

    def read(self, position: Position) -> list[tuple[Position, Position, Record]]:
        found = super().read(position)
        self.records_read += len(found)
        return found


def record(number: int) -> Record:
    text = b'{"e":"trade","s":"BTCUSDT","t":%d}' % number
    return Record("binance", "trade", "btcusdt@trade", "S1", number, 1_700_000_000_000_000, "stream", text)


def test_what_comes_back_from_a_frozen_broker_is_read_once_more_and_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick = {"delivery_timeout_ms": 10_000, "producer_close_timeout_s": 1}
    settings = load_settings(home=tmp_path, collector=quick)
    with broker_of_its_own(tmp_path / "broker") as local, CountingSpool(tmp_path / "spool", settings.spool) as spool:
        running = local._files.running()  # noqa: SLF001 - its address
        assert running is not None
        assert local._process is not None  # noqa: SLF001 - only its pid is wanted
        with topic_readers(running.bootstrap_servers) as open_reader:
            reader = open_reader("binance.trade")
            publisher = Publisher(spool, settings, running.bootstrap_servers)
            publisher.start()
            spool.append(record(0))
            await_until(spool.all_acked, 60, "the first record")
            os.kill(local._process.pid, signal.SIGSTOP)  # noqa: SLF001
            try:
                for number in range(1, RECORDS):
                    spool.append(record(number))
                await_until(lambda: publisher.unacked > RECORDS // 2, 60, "most of them with the producer")
                await_until(lambda: "publishing stopped" in caplog.text, 60, "records that came back")
            finally:
                os.kill(local._process.pid, signal.SIGCONT)  # noqa: SLF001
            await_until(spool.all_acked, 120, "everything")
            publisher.close()
            assert {int(message.value.split(b":")[-1][:-1]) for message in reader.read()} == set(range(RECORDS))
        # Once at first, and once for each producer that was lost meanwhile.
        assert spool.records_read <= RECORDS * (publisher.generation + 1)
