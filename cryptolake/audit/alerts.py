"""Keeps gold.alerts in step with what audits find; `cryptolake audit --watch` is its one writer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from ulid import ULID

from cryptolake.audit.result import WARNING, CheckResult
from cryptolake.audit.spans import time_of
from cryptolake.kept_table import keep_few_files, kept_table
from gold.tables import ALERTS
from lakehouse.arrow import contract_schema
from lakehouse.settings import Settings

SOURCE = "audit"
OPEN, RESOLVED = "open", "resolved"
_Row = dict[str, Any]


@dataclass(frozen=True)
class Looked:
    """What a round looked at.

    Args:
        from_us: the start (UTC, us); None for the whole lake.
        to_us: the end.
        again: it looked at all that came from the start on, so that a check that passed is right again for all alerts
            that begin no earlier; other rounds leave out what was looked at before.
    """

    from_us: int | None
    to_us: int
    again: bool

    def covers(self, alert: Mapping[str, Any]) -> bool:
        """Whether it looked at all that an alert is about."""
        began = alert["window_from"]
        if alert["severity"] == WARNING:  # that nothing could be told; now something was
            return True
        return self.from_us is None or (self.again and began is not None and time_of(self.from_us) <= began)


@dataclass(frozen=True)
class Changes:
    """What a round changed: names of checks whose alerts were raised and resolved, and how many are open now."""

    raised: tuple[str, ...]
    resolved: tuple[str, ...]
    open: int


class Alerts:
    """The alerts of the audit.

    Args:
        settings: the home.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._starts: tuple[int | None, ...] = ()

    @property
    def starts_us(self) -> tuple[int | None, ...]:
        """From when on is to be looked at again what is open (UTC, us; None: everything), as of the last `take`."""
        return self._starts

    def take(self, checks: Iterable[CheckResult], looked: Looked) -> Changes:
        """Raise an alert of each check that failed and has none open; resolve those whose checks passed over all of it.

        Raises:
            LakeLockedError: another audit has been writing for too long.
        """
        limits = self._settings.audit
        with kept_table(self._settings, ALERTS, limits.alert_lock_timeout_s) as table:
            held = {row["check_name"]: row for row in _open_rows(table)}
            raised, resolved, changed = [], [], []
            for check in checks:
                alert = held.get(check.name)
                if not check.passed:
                    raised += [] if alert else [check.name]
                    held[check.name] = _seen(alert or _new(check, looked), check, looked)
                    changed.append(held[check.name])
                elif alert and looked.covers(alert):
                    resolved.append(check.name)
                    changed.append({**held.pop(check.name), "status": RESOLVED, "resolved_at": time_of(looked.to_us)})
            if changed:
                _write(table, changed)
                keep_few_files(table, limits.alert_files_kept)
        failed = [row for row in held.values() if row["severity"] != WARNING]
        self._starts = tuple(None if row["window_from"] is None else _us(row) for row in failed)
        return Changes(tuple(raised), tuple(resolved), len(held))


def _open_rows(table: DeltaTable) -> list[_Row]:
    rows: list[_Row] = table.to_pyarrow_table(filters=[("status", "=", OPEN), ("source", "=", SOURCE)]).to_pylist()
    return rows


def _new(check: CheckResult, looked: Looked) -> _Row:
    return {
        "alert_id": str(ULID()),
        "alert_key": f"{SOURCE}/{check.name}",
        "source": SOURCE,
        "check_name": check.name,
        "severity": check.severity,
        "what": check.promise,
        "window_from": None if looked.from_us is None else time_of(looked.from_us),
        "raised_at": time_of(looked.to_us),
        "status": OPEN,
        "resolved_at": None,
    }


def _seen(alert: _Row, check: CheckResult, looked: Looked) -> _Row:
    """An alert as of its last failure, which may reach further back than the one it was raised for."""
    start = alert["window_from"]
    if looked.from_us is None or start is None:
        start = None
    else:
        start = min(start, time_of(looked.from_us))
    return {
        **alert,
        "count": check.failures,
        "examples": json.dumps(list(check.examples), ensure_ascii=False),
        "window_from": start,
        "window_to": time_of(looked.to_us),
        "last_seen_at": time_of(looked.to_us),
    }


def _write(table: DeltaTable, rows: list[_Row]) -> None:
    # Not by a merge of delta-rs: its files hold texts as string views, by which neither pyarrow nor DuckDB can filter.
    ids = ", ".join(f"'{row['alert_id']}'" for row in rows)  # ULIDs
    data = pa.Table.from_pylist(rows, contract_schema(ALERTS))
    write_deltalake(table, data, mode="overwrite", predicate=f"alert_id IN ({ids})")


def _us(row: _Row) -> int:
    return int(pa.scalar(row["window_from"], pa.timestamp("us", tz="UTC")).value)
