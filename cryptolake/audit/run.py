"""The audit: all checks, from pinned versions of the tables."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cryptolake.audit.accounting import Accounting, check_quarantine
from cryptolake.audit.bronze_pass import BronzePass
from cryptolake.audit.kinds import KINDS, TRADES
from cryptolake.audit.ledger import Ledger
from cryptolake.audit.places import Places
from cryptolake.audit.quarantine import Quarantine
from cryptolake.audit.result import CheckResult
from cryptolake.audit.silver_pass import SilverPass
from cryptolake.audit.snapshot import Snapshot, lake_folder_of
from cryptolake.audit.symbols import Names
from lakehouse.settings import Settings


def audit(settings: Settings, ledger: Path | None = None) -> list[CheckResult]:
    """Prove from the tables alone what design section 5, points 2 to 6, promises.

    Runs beside a live pipeline: what the steps have not carried on yet is counted as in flight and not failed.

    Args:
        settings: the home, and how much memory and how many examples to use.
        ledger: the simulator's ledger (JSON lines), to compare silver with what the venue said.

    Returns:
        one result per check, in the order of the flow.

    Raises:
        CryptolakeError: there is no lake yet, or a table or the ledger cannot be read.
    """
    snapshot = Snapshot.pin(lake_folder_of(settings))
    spare = settings.home.resolve() / "tmp"
    spare.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="audit-", dir=spare) as folder:
        return _checks(settings, snapshot, ledger, Path(folder))


def _checks(settings: Settings, snapshot: Snapshot, ledger: Path | None, folder: Path) -> list[CheckResult]:
    limits = settings.audit
    rows = max(table.rows() for table in (snapshot.bars, *(snapshot.of(kind) for kind in KINDS)))
    parts = 1 + rows // limits.rows_per_part
    places = Places()
    quarantine = Quarantine(snapshot.quarantine, places, limits.batch_bytes)
    names = _names(snapshot, limits.batch_bytes)
    bronze = BronzePass(
        snapshot.frames,
        snapshot.frames_in_flight(),
        places,
        quarantine,
        names,
        folder,
        parts,
        limits.batch_bytes,
        limits.examples,
    )
    quarantine.settle_rows(bronze.arrays())
    silver = SilverPass(snapshot, places, names, folder, parts, limits, settings.lake.gap_open_s)
    # Read after the tables: a trade is in the ledger before anyone can have it.
    truth = Ledger(ledger, settings, folder, parts, bronze.heard, silver.id_gaps.lost) if ledger else None
    results = bronze.offset_checks(settings.kafka.accept_recreated_topics)
    results += _accounts(bronze, silver, places, quarantine, parts, limits.examples, truth, snapshot.replaying())
    results += [bronze.raw_bytes.result(), silver.naming.result()]
    results += silver.id_gaps.results(bronze.lost, snapshot.pinned_us)
    results += silver.bars.results() + silver.windows.results() + silver.trends.results(silver.bars.in_flight())
    if truth:
        results += truth.results(silver.gaps)
    return [_overview(bronze, snapshot), *results]


def _names(snapshot: Snapshot, batch_bytes: int) -> Names:
    columns = dict.fromkeys(("venue", "venue_symbol", "base", "quote"), pa.string())
    batches = snapshot.symbols.batches(columns, batch_bytes)
    return Names(tuple(row.values()) for _, batch in batches for row in batch.to_pylist())


def _accounts(
    bronze: BronzePass,
    silver: SilverPass,
    places: Places,
    quarantine: Quarantine,
    parts: int,
    examples: int,
    truth: Ledger | None,
    replaying: bool,
) -> list[CheckResult]:
    place, reason, in_flight = bronze.bad()
    order = np.argsort(place, kind="stable")
    bad, why = (place[order], reason[order]), {number: name for name, number in bronze.why.items()}
    first_held = bronze.first_held()
    results = []
    for kind, stored in silver.spills.items():
        account = Accounting(kind, places, quarantine, bad, why, first_held, replaying, examples)
        for part in range(parts):
            expected, held = bronze.spills[kind].read(part), stored.read(part)
            account.take(expected, held)
            if truth and kind is TRADES:
                truth.take(part, expected, held)
        results += account.results()
    return results + check_quarantine(quarantine, (place, reason, in_flight), why, places, first_held, examples)


def _overview(bronze: BronzePass, snapshot: Snapshot) -> CheckResult:
    tables = (snapshot.frames, snapshot.trades, snapshot.bars, snapshot.windows, snapshot.trends)
    versions = "versions " + ", ".join(f"{table.name.partition('.')[2]} {table.version}" for table in tables)
    note = f"{bronze.control:,} control; {bronze.frames_in_flight:,} in flight; {versions}"
    return CheckResult("bronze.frames read", True, bronze.frames, 0, (), note, "every frame is read anew")


def print_report(results: list[CheckResult], console: Console | None = None) -> int:
    """Print the checks as a table, failures with examples, and give the exit code: 0 when all passed, else 1."""
    console = console or Console()
    table = Table(title="Audit", title_justify="left", header_style="bold")
    for column in ("check", "", "counted", "failures", "note"):
        numbers = column in ("counted", "failures")
        table.add_column(column, justify="right" if numbers else "left", no_wrap=column != "note")
    for result in results:
        verdict = "[green]ok[/]" if result.passed else "[red]FAILED[/]"
        table.add_row(result.name, verdict, f"{result.counted:,}", f"{result.failures:,}", escape(result.note))
    console.print(table)
    failed = [result for result in results if not result.passed]
    for result in failed:
        console.print(f"[red]{result.name}[/] ({result.promise}): {result.failures:,} failures", highlight=False)
        for example in result.examples:
            console.print(f"  {escape(example)}", highlight=False, soft_wrap=True)
    passed = f"All {len(results)} checks passed." if not failed else f"{len(failed)} of {len(results)} checks failed."
    console.print(passed, highlight=False)
    return 1 if failed else 0
