"""Silver held against the simulator's ledger: what the venue said, whoever listened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cryptolake.audit.heard import Heard
from cryptolake.audit.kinds import PRICE, QUANTITY, TIME
from cryptolake.audit.result import CheckResult, Tally
from cryptolake.audit.spill import Spill
from cryptolake.audit.symbols import base_and_quote
from lakehouse.errors import CryptolakeError
from lakehouse.settings import AuditSettings, Settings

_CHUNK = 50_000
_US = 1_000_000
_TIMED = ("bybit", "coincap")  # sources whose losses are told by times
_Disconnects = dict[tuple[str, str], list[tuple[int, int]]]
_NEVER_SENT = "stalled"  # the simulator's word for a trade that no open connection was given
_FIELDS = {
    "venue": pa.string(),
    "venue_symbol": pa.string(),
    "trade_id": pa.int64(),
    "trade_key": pa.string(),
    "side": pa.string(),
    "price": PRICE,
    "quantity": QUANTITY,
    "event_time": TIME,
}
_SCHEMA = pa.schema([*_FIELDS.items(), ("count", pa.int64()), ("never_sent", pa.int64()), ("at_us", pa.int64())])
_NAMES = ("venue", "symbol", "id", "side", "price", "quantity", "event_time_us")
Gaps = Iterable[tuple[str, str, int, int]]


class Ledger:
    """The ledger, its trades put aside in parts, and the two checks.

    Binance: silver holds every trade of the ledger exactly once with equal fields, from the first one heard of its
    symbol to the last moment at which the venue was heard. CoinCap and Bybit, whose ids do not rise by one: silver
    holds nothing else, each at most as often as the ledger, and what is missing lies in a recorded disconnect, or
    before the first or after the last frame. Bybit's trades are told apart by their keys, CoinCap's by their fields.

    Args:
        path: JSON lines with venue, symbol, id, price, quantity, side, event_time_us and fault; `at_us`, where the
            market's clock is not the wall's, is what recorded disconnects are held against.
        settings: home and audit settings.
        folder: for rows put aside.
        parts: into how many parts, the same as for silver.trades.
        heard: from when to when bronze heard each venue.
        lost: ids of a symbol that silver calls unrecoverable.

    Raises:
        CryptolakeError: the file is not there, or a line of it is not a ledger's.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        folder: Path,
        parts: int,
        heard: Heard,
        lost: Callable[[str], list[tuple[int, int]]],
    ) -> None:
        self._settings: AuditSettings = settings.audit
        self._collected = frozenset(settings.venues.binance.symbols)
        self._heard = heard
        self._lost = lost
        self._live_us = {
            source: self._settings.ledger_live_s * _US if collector_runs(settings.home, source) else 0
            for source in ("binance", *_TIMED)
        }
        self._with_ids = Spill(folder, "ledger.ids", _SCHEMA, parts)
        self._without_ids = Spill(folder, "ledger.times", _SCHEMA, parts)
        self._binance = Tally(
            "ledger binance", "silver has every trade exactly once, equal in every field", self._settings.examples
        )
        self._timed = {
            source: Tally(
                f"ledger {source}",
                "silver has no other trade, and what it lacks lies in disconnects",
                self._settings.examples,
            )
            for source in _TIMED
        }
        for batch in _read(path):
            self._put(batch)

    def take(self, part: int, expected: Any, stored: Any) -> None:
        """Compare one part of silver.trades, where trades with ids are, and put those without ids aside.

        Args:
            part: its number.
            expected: what bronze says, columns of `kinds.TRADES.expected_schema`.
            stored: what silver holds, columns of `kinds.TRADES.stored_schema`.
        """
        live = stored.filter(pc.is_in(stored["origin"], value_set=pa.array(["stream", "backfill"])))
        no_id = live["trade_id"].is_null()
        self._put(_counted(live.filter(no_id), -1))
        ledger = self._with_ids.read(part)
        self._binance.count(ledger.num_rows)
        waiting = expected.filter(expected["in_flight"]).select(["venue", "venue_symbol", "trade_id"]).to_pylist()
        in_flight = {tuple(row.values()) for row in waiting}
        silver = _counted(live.filter(pc.invert(no_id)), -1)
        self._settle_ids(_unbalanced(pa.concat_tables([ledger, silver])), in_flight)

    def results(self, gaps: Gaps) -> list[CheckResult]:
        """Compare the trades without ids that rise by one, and close the checks.

        Args:
            gaps: venue, symbol or *, start and end (us) of every recorded disconnect.
        """
        disconnects: _Disconnects = {}
        for venue, symbol, start, end in gaps:
            disconnects.setdefault((venue, symbol), []).append((start, end))
        for part in range(self._without_ids.parts):
            rows = self._without_ids.read(part)
            said = rows.filter(pc.equal(rows["count"], 1)).group_by("venue").aggregate([([], "count_all")])
            for row in said.to_pylist():
                self._tally(row["venue"]).count(row["count_all"])
            for row in _unbalanced(rows):
                self._settle_time(self._tally(row["venue"]), row, disconnects)
        return [self._binance.result(), *(tally.result() for tally in self._timed.values())]

    def _tally(self, venue: str) -> Tally:
        return self._timed[venue.partition("-")[0]]

    def _put(self, rows: Any) -> None:
        """Put rows aside: of one key in the same part as in silver, without an id by time."""
        batches = rows.combine_chunks().to_batches() if isinstance(rows, pa.Table) else [rows]
        for batch in batches:
            no_id = batch.column("trade_id").is_null()
            for chosen, spill, name in (
                (batch.filter(pc.invert(no_id)), self._with_ids, "trade_id"),
                (batch.filter(no_id), self._without_ids, "event_time"),
            ):
                if chosen.num_rows:
                    numbers = chosen.column(name).cast(pa.int64()).to_numpy(zero_copy_only=False)
                    spill.write(chosen, numbers if name == "trade_id" else numbers // 1000)

    def _settle_ids(self, rows: list[dict[str, Any]], in_flight: set[tuple[Any, ...]]) -> None:
        said = {_key(row): row for row in rows if row["count_sum"] > 0}
        for row in rows:
            if row["count_sum"] > 0:
                continue
            other = said.pop(_key(row), None)
            if other is None:
                text = f"{_text(row)}: in silver, but not in the ledger, or more than once"
                self._binance.fail(-row["count_sum"], [text])
                continue
            wrong = ", ".join(f"{n} is {row[n]}, the ledger says {other[n]}" for n in _FIELDS if row[n] != other[n])
            self._binance.fail(1, [f"{_text(row)}: {wrong}"])
        for key, row in said.items():
            if key in in_flight:
                self._binance.note("in flight", 1)
            elif excuse := self._unheard(row):
                self._binance.note(excuse, 1)
            else:
                self._binance.fail(row["count_sum"], [f"{_text(row)}: in the ledger, not in silver"])

    def _unheard(self, row: dict[str, Any]) -> str | None:
        if any(first <= row["trade_id"] <= last for first, last in self._lost(row["venue_symbol"])):
            return "recorded as unrecoverable"
        ids, times = self._heard.ids(row["venue"], row["venue_symbol"]), self._heard.times_us(row["venue"])
        if times is None:
            return "of a venue never heard"
        if _us(row) > times[1] - self._live_us["binance"]:
            return "after the last frame heard"
        if ids is None:
            return None if row["venue_symbol"] in self._collected else "of symbols that are not collected"
        return "before the first one heard of their symbol" if row["trade_id"] < ids[0] else None

    def _settle_time(self, tally: Tally, row: dict[str, Any], disconnects: _Disconnects) -> None:
        missing = row["count_sum"]
        if missing < 0:
            tally.fail(-missing, [f"{_text(row)}: {-missing} more in silver than in the ledger"])
            return
        venue, moment = row["venue"], _us(row)
        slack = int(self._settings.gap_slack_s * _US)
        times = self._heard.times_us(venue)
        at_us = row["at_us_max"] or moment
        symbol = "-".join(base_and_quote(venue, row["venue_symbol"]) or ())
        lost = [span for name in ("*", symbol) for span in disconnects.get((venue, name), ())]
        if any(start - slack <= at_us <= end + slack for start, end in lost):
            tally.note("lost in recorded disconnects", missing)
        elif times is None:
            tally.note("of a venue never heard", missing)
        elif moment < times[0] + slack:
            tally.note("before the first frame heard", missing)
        elif moment > times[1] - slack - self._live_us[venue.partition("-")[0]]:
            tally.note("after the last frame heard", missing)
        elif row["trade_key"] is not None and moment < self._heard.first_us(venue, row["venue_symbol"]):
            tally.note("before the first one heard of their symbol", missing)
        elif missing <= row["never_sent_sum"]:
            tally.note("never sent by the venue (stalled)", missing)
        else:
            tally.fail(missing, [f"{_text(row)}: lost outside of every recorded disconnect"])


def collector_runs(home: Path, source: str) -> bool:
    """Say whether a collector of this source is running for this home."""
    try:
        status = json.loads((home.resolve() / "run" / f"collector-{source}.json").read_text(encoding="utf-8"))
        os.kill(int(status["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _read(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            # The last line of a ledger that is being written may be half there.
            lines = ((number, line) for number, line in enumerate(file, 1) if line.endswith(b"\n"))
            while chunk := list(islice(lines, _CHUNK)):
                yield _batch([_entry(path, number, line) for number, line in chunk])
    except OSError as error:
        raise CryptolakeError(f"The ledger {path} cannot be read: {error.strerror}") from None


def _entry(path: Path, number: int, line: bytes) -> tuple[Any, ...]:
    try:
        entry = json.loads(line)
        return (*(entry[name] for name in _NAMES), entry.get("fault"), entry.get("at_us"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CryptolakeError(
            f"Line {number} of {path} is not a line of a ledger", "Give the file that the simulator wrote."
        ) from None


def _batch(entries: list[tuple[Any, ...]]) -> Any:
    venue, symbol, number, side, price, quantity, moment, fault, at_us = zip(*entries, strict=True)
    keyed = [isinstance(one, str) for one in number]  # Bybit's ids are text
    columns = [
        pa.array(venue, pa.string()),
        # CoinCap's pair of slugs is bitcoin/tether here and bitcoin-tether in silver.
        pa.array([name.replace("/", "-") for name in symbol], pa.string()),
        pa.array([None if key else one for key, one in zip(keyed, number, strict=True)], pa.int64()),
        pa.array([one if key else None for key, one in zip(keyed, number, strict=True)], pa.string()),
        pa.array(side, pa.string()),
        pc.cast(pa.array(price, pa.string()), PRICE),
        pc.cast(pa.array(quantity, pa.string()), QUANTITY),
        pa.array(moment, pa.int64()).cast(TIME),
        pa.array([1] * len(entries), pa.int64()),
        pa.array([int(what == _NEVER_SENT) for what in fault], pa.int64()),
        pa.array(at_us, pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _counted(rows: Any, count: int) -> Any:
    # A key of our own making, as CoinCap's, stands in no ledger.
    keys = pc.if_else(pc.is_valid(rows["venue_sequence"]), rows["trade_key"], None)
    columns = [keys if name == "trade_key" else rows[name] for name in _FIELDS]
    columns += [pa.array([count] * rows.num_rows, pa.int64()), pa.array([0] * rows.num_rows, pa.int64())]
    columns.append(pa.nulls(rows.num_rows, pa.int64()))
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _unbalanced(rows: Any) -> list[dict[str, Any]]:
    """Add up equal rows, the ledger's as +1 and silver's as -1, and give those that do not come to nothing."""
    sums = rows.group_by(list(_FIELDS)).aggregate([("count", "sum"), ("never_sent", "sum"), ("at_us", "max")])
    unbalanced: list[dict[str, Any]] = sums.filter(pc.not_equal(sums["count_sum"], 0)).to_pylist()
    return unbalanced


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["venue"], row["venue_symbol"], row["trade_id"]


def _us(row: dict[str, Any]) -> int:
    return int(pa.scalar(row["event_time"], TIME).cast(pa.int64()).as_py())


def _text(row: dict[str, Any]) -> str:
    what = [
        row[name]
        for name in ("venue", "venue_symbol", "trade_id", "trade_key", "side", "price", "quantity", "event_time")
    ]
    return " ".join(str(part) for part in what if part is not None)
