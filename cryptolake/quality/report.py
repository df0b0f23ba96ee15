"""A check as a page of its own: one file, no script, and whatever came as data escaped."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from cryptolake.quality.check import Check, QualityRun, TableCheck
from lakehouse.errors import CryptolakeError

_ORDER = {"failed": 0, "warned": 1, "passed": 2}
_MARKS = {"failed": "✕", "warned": "!", "passed": "✓", "empty": "○"}


class _Markup(str):
    """Text that is HTML already, made by `_element` alone."""

    __slots__ = ()


def write_report(run: QualityRun, path: Path) -> None:
    """Write the page, so that a reader sees the old one or the new one.

    Raises:
        CryptolakeError: it cannot be written there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(page(run), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise CryptolakeError(
            f"The report cannot be written to {path} ({error.strerror})", "Name another file."
        ) from None


def page(run: QualityRun) -> str:
    """The page of one check."""
    style = (resources.files("cryptolake.quality") / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The style is named by its hash: nothing else on the page is styled, loaded, sent or run.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = _element(
        "head",
        _element("meta", charset="utf-8"),
        _element("meta", http_equiv="Content-Security-Policy", content=policy),
        _element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _element("meta", name="color-scheme", content="light dark"),
        _element("meta", name="referrer", content="no-referrer"),
        _element("title", f"Quality of silver: {_verdict(run)}"),
        _Markup(f"<style>{style}</style>"),
    )
    main = _element("main", _header(run), _tiles(run), _breaches(run), *map(_table, run.tables), _footer(run))
    return "<!doctype html>\n" + _element("html", head, _element("body", main), lang="en") + "\n"


def _header(run: QualityRun) -> _Markup:
    when = f"Checked {_time(run.checked_at)}, the newest {run.minutes} minutes of each table"
    told = [_element("p", f"{when}, rules of version {run.rule_version}.", class_="muted")]
    if not any(table.rows for table in run.tables):
        told.append(
            _element("p", "Every rule holds of no rows. Fill the lake, e.g. with cryptolake up, and check again.")
        )
    title = _element("h1", _mark(_state(run.tables)), _verdict(run))
    return _element("header", _element("p", "cryptolake · quality of silver", class_="kicker"), title, *told)


def _state(tables: Iterable[TableCheck]) -> str:
    outcomes = {check.outcome for table in tables if table.rows for check in table.checks}
    return min(outcomes, key=_ORDER.__getitem__, default="empty")


def _verdict(run: QualityRun) -> str:
    failed, warned, checks = len(run.with_outcome("failed")), len(run.with_outcome("warned")), len(run.checks)
    if failed:
        return f"{failed} of {checks} checks failed"
    if not any(table.rows for table in run.tables):
        return "No rows to check yet"
    return f"All {checks} checks passed" if not warned else f"None of {checks} checks failed, {warned} warned"


def _tiles(run: QualityRun) -> _Markup:
    rows = sum(table.rows for table in run.tables)
    figures = (
        ("rows looked at", f"{rows:,}", ""),
        ("tables", str(len(run.tables)), ""),
        ("checks passed", str(len(run.with_outcome("passed"))), "passed"),
        ("warned", str(len(run.with_outcome("warned"))), "warned"),
        ("failed", str(len(run.with_outcome("failed"))), "failed"),
    )
    tiles = [
        _element("li", _element("strong", figure, class_=state if figure != "0" else ""), _element("span", label))
        for label, figure, state in figures
    ]
    return _element("ul", *tiles, class_="tiles")


def _breaches(run: QualityRun) -> _Markup:
    broken = sorted((c for c in run.checks if c.unexpected), key=lambda c: (_ORDER[c.outcome], -c.unexpected))
    if not broken:
        return _Markup("")
    return _element("section", _element("h2", "What was found"), *map(_breach, broken), class_="breaches")


def _breach(check: Check) -> _Markup:
    examples = [_element("li", _element("code", example)) for example in check.examples]
    more = check.unexpected - len(check.examples)
    if more > 0:
        examples.append(_element("li", f"and {more:,} more", class_="muted"))
    share = 100 * check.unexpected / check.rows if check.rows else 0.0
    return _element(
        "article",
        _element("h3", _mark(check.outcome), _element("code", f"{check.table} · {check.rule}")),
        _element(
            "p",
            f"{check.meaning}: {check.unexpected:,} of {check.rows:,} rows ({share:.2g} %) break it. Reason: "
            f"{check.reason}.",
        ),
        _element("ul", *examples, class_="examples"),
        class_=check.outcome,
    )


def _table(table: TableCheck) -> _Markup:
    looked_at = "no rows"
    if table.rows:
        limited = ", the newest only" if table.limited else ""
        looked_at = f"{table.rows:,} rows{limited} · {_time(table.oldest)} to {_time(table.newest)}"
    rows = sorted(table.checks, key=lambda check: _ORDER[check.outcome])
    outcomes = [check.outcome for check in rows]
    state = _state([table])
    told = f"{outcomes.count(state)} {state}" if state in ("failed", "warned") else f"{len(rows)} checks"
    summary = _element(
        "summary",
        _mark(state),
        _element("span", table.table, class_="name"),
        _element("span", looked_at, class_="muted"),
        _element("span", told, class_=f"told {state}"),
    )
    columns = ("", "rule", "asks that", "expectation", "reason", "unexpected")
    head = _element("tr", *(_element("th", name, scope="col") for name in columns))
    body = _element(
        "div", _element("table", _element("thead", head), _element("tbody", *map(_row, rows))), class_="wide"
    )
    opened = {"open": "open"} if state == "failed" else {}
    return _element("details", summary, body, class_=state, **opened)


def _row(check: Check) -> _Markup:
    severity = "" if check.severity == "reject" else " (warns only)"
    return _element(
        "tr",
        _element("td", _mark(check.outcome)),
        _element("td", _element("code", check.rule)),
        _element("td", check.meaning + severity),
        _element("td", check.expectation.removeprefix("expect_").replace("_", " "), class_="muted"),
        _element("td", check.reason, class_="muted"),
        _element("td", f"{check.unexpected:,}", class_="figure"),
        class_=check.outcome,
    )


def _footer(run: QualityRun) -> _Markup:
    return _element(
        "footer",
        f"Check {run.run_id}, kept in silver.quality_results. Uniqueness is judged among the rows looked at; the audit "
        "proves it of whole tables.",
    )


def _mark(state: str) -> _Markup:
    return _element("span", _MARKS[state], class_=f"mark {state}", role="img", aria_label=state)


def _time(time: dt.datetime | None) -> str:
    return "-" if time is None else f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _element(tag: str, *children: str, **attributes: str) -> _Markup:
    """An element; text and attributes are escaped, only what `_element` made stays as it is."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for name, value in attributes.items() if value
    )
    if tag == "meta":
        return _Markup(f"<{tag}{given}>")
    inner = "".join(child if isinstance(child, _Markup) else html.escape(child) for child in children)
    return _Markup(f"<{tag}{given}>{inner}</{tag}>")
