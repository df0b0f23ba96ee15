"""The audit: all checks, from pinned versions of the tables."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from cryptolake.audit.accounting import Accounting, check_quarantine
from cryptolake.audit.bronze_pass import BronzePass
from cryptolake.audit.kinds import KINDS, TIME, TRADES
from cryptolake.audit.ledger import Ledger
from cryptolake.audit.minutes import start_us_of
from cryptolake.audit.places import Places
from cryptolake.audit.quarantine import Quarantine
from cryptolake.audit.reach import Reach, Since
from cryptolake.audit.report import Report
from cryptolake.audit.result import CheckResult
from cryptolake.audit.silver_pass import SilverPass
from cryptolake.audit.snapshot import Snapshot, lake_folder_of
from cryptolake.audit.spans import Spans
from cryptolake.audit.spill import Ints
from cryptolake.audit.symbols import Names
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings


def audit(settings: Settings, ledger: Path | None = None, since: Since | None = None) -> Report:
    """Prove from the tables alone what design section 5, points 2 to 6, promises.

    Runs beside a live pipeline: what the steps have not carried on yet is counted as in flight and not failed.

    Args:
        settings: the home, and how much memory and how many examples to use.
        ledger: the simulator's ledger (JSON lines), to compare silver with what the venue said.
        since: only what came since then is looked at; None looks at everything.

    Returns:
        one result per check, in the order of the flow, and what was looked at.

    Raises:
        CryptolakeError: there is no lake yet, or a table or the ledger cannot be read.
    """
    if ledger and since:
        raise CryptolakeError("A ledger is compared with the whole lake", "Leave out --since, or the ledger.")
    snapshot = Snapshot.pin(lake_folder_of(settings))
    spare = settings.home.resolve() / "tmp"
    spare.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="audit-", dir=spare) as folder:
        return _Run(settings, snapshot, since, Path(folder)).report(ledger)


class _Run:
    """One audit.

    Args:
        settings: the whole tree.
        snapshot: the pinned tables.
        since: from when on.
        folder: for rows put aside.
    """

    def __init__(self, settings: Settings, snapshot: Snapshot, since: Since | None, folder: Path) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._since = since
        self._folder = folder
        self._parts = _parts(settings, snapshot, since)
        size = settings.audit.batch_bytes
        self._places = Places()
        quarantined = since.quarantined() if since else None
        self._quarantine = Quarantine(snapshot.quarantine, self._places, size, quarantined)
        names = _names(snapshot, size)
        self._bronze = BronzePass(
            snapshot, since, self._places, self._quarantine, names, folder, self._parts, settings.audit
        )
        self._quarantine.settle_rows(self._bronze.arrays())
        self._floor = self._bronze.floor()
        self._silver = SilverPass(
            snapshot, self._reach(), self._places, self._floor, names, folder, self._parts, settings
        )

    def report(self, ledger: Path | None) -> Report:
        """Compare, and close all checks."""
        bronze, silver, settings = self._bronze, self._silver, self._settings
        # Read after the tables: a trade is in the ledger before anyone can have it.
        truth = (
            Ledger(ledger, settings, self._folder, self._parts, bronze.heard, silver.id_gaps.lost) if ledger else None
        )
        kafka = settings.kafka
        checks = bronze.offset_checks(kafka.accept_recreated_topics, kafka.accept_lost_offsets)
        checks += self._accounts(truth)
        balance, batches = bronze.batches.check(self._snapshot.batch_ids)
        checks += [balance, bronze.raw_bytes.result(), silver.naming.result()]
        checks += silver.gap_results(bronze.lost) + silver.trend_results()
        if truth:
            checks += truth.results(silver.gaps)
        return Report(
            checks=(self._overview(), *checks),
            pinned_us=self._snapshot.pinned_us,
            since=self._since,
            versions=self._snapshot.versions(),
            batches=batches,
            resume=self._resume(),
        )

    def _reach(self) -> Reach | None:
        if self._since is None or self._bronze.touched is None:
            return None
        revised = [
            batch.column("minute").cast(pa.int64()).to_numpy() // 60_000_000
            for _, batch in self._snapshot.bars.batches(
                {"minute": TIME}, self._settings.audit.batch_bytes, where=self._since.revised()
            )
        ]
        return self._bronze.touched.reach(self._since, np.concatenate([np.zeros(0, dtype=np.int64), *revised]))

    def _accounts(self, truth: Ledger | None) -> list[CheckResult]:
        bronze, silver, examples = self._bronze, self._silver, self._settings.audit.examples
        place, reason, in_flight = bronze.bad()
        order = np.argsort(place, kind="stable")
        bad, why = (place[order], reason[order]), {number: name for name, number in bronze.why.items()}
        replaying = self._snapshot.replaying()
        results = []
        for kind in KINDS:
            account = Accounting(
                kind,
                self._places,
                self._quarantine,
                bad,
                why,
                self._floor,
                bronze.batches,
                replaying,
                examples,
                silver.look_up if self._since and kind is TRADES else None,
            )
            for part in range(self._parts):
                expected, held = bronze.spills[kind].read(part), silver.spills[kind].read(part)
                account.take(expected, held)
                if truth and kind is TRADES:
                    truth.take(part, expected, held)
            results += account.results()
        all_bad = (place, reason, in_flight)
        return results + check_quarantine(
            self._quarantine, all_bad, why, self._places, self._floor, bronze.batches, examples
        )

    def _overview(self) -> CheckResult:
        bronze = self._bronze
        tables = ("bronze.frames", "silver.trades", "silver.one_minute_bars", "silver.five_minute_bars")
        held = self._snapshot.versions()
        versions = ", ".join(f"{name.partition('.')[2]} {held[name]}" for name in (*tables, "silver.six_minute_trends"))
        note = f"{bronze.control:,} control; {bronze.frames_in_flight:,} in flight; versions {versions}"
        promise = "every frame that came is read anew" if self._since else "every frame is read anew"
        return CheckResult("bronze.frames read", True, bronze.frames, 0, (), note, promise)

    def _resume(self) -> Since:
        """From when on the next audit has to look so that, together, nothing is left out."""
        bronze = self._bronze
        ends = [us for us in (bronze.batches.newest_us(), bronze.first_in_flight_us) if us is not None]
        limits = self._settings.lake.gap_open_s + self._settings.audit.gap_slack_s
        us = min(ends) - int(limits * 1_000_000) if ends else (self._since.us if self._since else 0)
        waiting: Ints = np.concatenate([self._silver.bars.in_flight(), self._silver.windows.in_flight()])
        return Since(us, Spans.of_minutes(start_us_of(waiting) // 60_000_000))


def _parts(settings: Settings, snapshot: Snapshot, since: Since | None) -> int:
    """In how many parts rows are put aside, so that one of each table fits into memory."""
    rows = max(table.rows() for table in (snapshot.bars, *(snapshot.of(kind) for kind in KINDS)))
    parts = 1 + rows // settings.audit.rows_per_part
    return min(parts, settings.audit.most_parts) if since else parts


def _names(snapshot: Snapshot, batch_bytes: int) -> Names:
    columns = dict.fromkeys(("venue", "venue_symbol", "base", "quote"), pa.string())
    told: set[tuple[str, ...]] = set()
    for _, batch in snapshot.symbols.batches(columns, batch_bytes):
        named = pa.Table.from_batches([batch]).group_by(list(columns)).aggregate([]).to_pylist()
        told |= {tuple(row[name] for name in columns) for row in named}
    return Names((row[0], row[1], row[2], row[3]) for row in told)
