"""The ledger of live trades and the binary store beside it: written before a trade is sent, read again after a crash.

The ledger (JSON lines) is the truth; the store holds the same Binance trades in a form that loads fast. One group of
trades is one append to each, the ledger first, so after a `kill -9` the store is completed from the ledger's tail and a
torn last line, whose trade nobody has seen, is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakehouse.errors import CryptolakeError
from simulator.catalogue import BY_NAME, RANK

BINANCE = "binance"
RECORD = np.dtype(
    [
        ("symbol", "<u2"),
        ("buy", "u1"),
        ("id", "<i8"),
        ("time_us", "<i8"),
        ("ticks", "<i8"),
        ("lots", "<i8"),
        ("ledger_end", "<i8"),
    ]
)
Records = NDArray[np.void]


@dataclass(frozen=True)
class LedgerLine:
    """One line of the ledger and where it ends in the file."""

    fields: Mapping[str, Any]
    end: int


class Journal:
    """Appends groups of trades to ledger and store.

    Args:
        ledger: JSON lines, one per live trade.
        store: fixed records, one per live Binance trade.
    """

    def __init__(self, ledger: Path, store: Path) -> None:
        for path in (ledger, store):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._ledger = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._store = os.open(store, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self.ledger_bytes = os.fstat(self._ledger).st_size

    def recover(self, known_bytes: int) -> tuple[Records, list[LedgerLine]]:
        """Mend both files after a stop and give what they hold.

        Args:
            known_bytes: length of the ledger when state.json was last written.

        Returns:
            Every live Binance trade, and the ledger lines that end beyond `known_bytes`.

        Raises:
            CryptolakeError: the ledger is not the one that store and state were written with.
        """
        whole = os.fstat(self._store).st_size // RECORD.itemsize * RECORD.itemsize
        os.ftruncate(self._store, whole)
        records = np.frombuffer(_read_all(self._store, 0, whole), dtype=RECORD)
        stored_bytes = int(records["ledger_end"][-1]) if len(records) else 0
        if self.ledger_bytes < max(stored_bytes, known_bytes):
            raise CryptolakeError(
                f"The ledger is shorter ({self.ledger_bytes} bytes) than what this home wrote to it",
                "Give the ledger this home was started with, or a new --home.",
            )
        lines = list(self._lines_from(min(stored_bytes, known_bytes)))
        self._cut_torn_line(lines[-1].end if lines else min(stored_bytes, known_bytes))
        missing = _records_of([line for line in lines if line.end > stored_bytes and line.fields["venue"] == BINANCE])
        if len(missing):
            os.write(self._store, missing.tobytes())
        return np.concatenate([records, missing]), [line for line in lines if line.end > known_bytes]

    def append(self, lines: bytes, records: Records) -> None:
        """Write one group: its ledger lines, then its records (their `ledger_end` counted from the group's start)."""
        records["ledger_end"] += self.ledger_bytes
        _write_all(self._ledger, lines)
        self.ledger_bytes += len(lines)
        if len(records):
            _write_all(self._store, records.tobytes())

    def tail(self, most_bytes: int) -> list[bytes]:
        """Give the last whole lines of the ledger, without their ends."""
        start = max(self.ledger_bytes - most_bytes, 0)
        lines = _read_all(self._ledger, start, self.ledger_bytes - start).split(b"\n")
        return lines[1:-1] if start else lines[:-1]

    def close(self) -> None:
        """Close both files."""
        os.close(self._ledger)
        os.close(self._store)

    def _lines_from(self, start: int) -> Iterator[LedgerLine]:
        end = start
        for line in _read_all(self._ledger, start, self.ledger_bytes - start).splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield LedgerLine(json.loads(line), end)

    def _cut_torn_line(self, end: int) -> None:
        os.ftruncate(self._ledger, end)
        self.ledger_bytes = end


def _records_of(lines: list[LedgerLine]) -> Records:
    records = np.zeros(len(lines), dtype=RECORD)
    for row, line in enumerate(lines):
        fields = line.fields
        symbol = BY_NAME[fields["symbol"]]
        records[row] = (
            RANK[symbol.name],
            fields["side"] == "buy",
            fields["id"],
            fields["event_time_us"],
            units_of(fields["price"], symbol.price_decimals),
            units_of(fields["quantity"], symbol.quantity_decimals),
            line.end,
        )
    return records


def units_of(text: str, decimals: int) -> int:
    """Read eight-decimal text as a whole number of 10 ** -decimals."""
    whole, part = text.split(".")
    return int(whole + part[:decimals])


def _read_all(file: int, start: int, length: int) -> bytes:
    parts = []
    while length > 0:
        part = os.pread(file, min(length, 1 << 26), start)
        if not part:
            break
        parts.append(part)
        start += len(part)
        length -= len(part)
    return b"".join(parts)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
