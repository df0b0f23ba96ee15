"""Figures as tables: on the terminal, and in docs/performance.md (python -m benchmarks.report RESULT.json ...)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.site import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: python -m benchmarks.report -->\n", "<!-- end of figures -->\n"
_Rows = list[list[str]]
_BATCHES_SHOWN, _FIRST_BATCHES = 8, 3  # of more batches the first ones, the median and the last are shown


def text_of(measured: Mapping[str, Any]) -> str:
    """All parts of one run as Markdown."""
    return f"{_made_with(measured)}\n{tables_of(measured['parts'])}"


def tables_of(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables of some parts, by their names."""
    return "\n".join(_TEXTS[name](part) for name, part in parts.items())


def document(results: Iterable[Mapping[str, Any]]) -> str:
    """The parts of some runs; of a part that was measured more than once, the last run of it."""
    newest: dict[str, Mapping[str, Any]] = {}
    for measured in results:
        for name, part in measured["parts"].items():
            newest[name] = {**measured, "parts": {name: part}}
    return "\n".join(text_of(newest[name]) for name in _TEXTS if name in newest)


def main(files: Sequence[str]) -> None:
    """Write the tables of some results between the two lines of the document that are for them."""
    text = document(json.loads(Path(file).read_text(encoding="utf-8")) for file in files)
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{DOCUMENT} has no place for figures")
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _made_with(measured: Mapping[str, Any]) -> str:
    m = measured["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
    loads = "; ".join(
        f"{name}: load average {part['load_average_before'][0]} before, {part['load_average_after'][0]} after,"
        f" took {part['took_s']} s"
        for name, part in measured["parts"].items()
    )
    return (
        f"{m['at']}, commit {m['commit']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, Java {m['java']},"
        f" Python {m['python']}, {versions}. {loads}.\n"
    )


def _catch_up(part: Mapping[str, Any]) -> str:
    head = (
        *("trades", "who", "trades/s", "cpu-s/M", "warm frames/s", "warm cpu-s/M", "broker cpu-s/M", "peak MB"),
        *("commits/M", "files/M", "start s"),
    )
    names = (
        *("trades_per_s", "cpu_s_per_million", "warm_frames_per_s", "warm_cpu_s_per_million"),
        *("broker_cpu_s_per_million", "peak_rss_mb", "commits_per_million", "files_per_million", "start_s"),
    )
    rows: _Rows = []
    for load in part["loads"]:
        for who in dict.fromkeys(run["who"] for run in load["runs"]):
            runs = [run for run in load["runs"] if run["who"] == who]
            rows.append([f"{load['trades']:,}", who, *(_spread([run.get(name) for run in runs]) for name in names)])
    notes = [_batches(load["runs"][0], load["trades"]) for load in part["loads"]]
    return _section("Catch-up", head, rows) + "".join(notes)


def _batches(run: Mapping[str, Any], trades: int) -> str:
    batches = [(str(number), batch) for number, batch in enumerate(run["batches"])]
    names = ("frames", *dict.fromkeys(name for _, batch in batches for name in batch if name != "frames"))
    if len(batches) > _BATCHES_SHOWN:
        alike = [batch for _, batch in batches[_FIRST_BATCHES:-1]]
        middle = {name: median(batch.get(name, 0) for batch in alike) for name in names}
        told = f"{_FIRST_BATCHES} to {len(batches) - 2}, median"
        batches = [*batches[:_FIRST_BATCHES], (told, middle), batches[-1]]
    rows = [
        [number, f"{batch['frames']:,.0f}", *(f"{batch.get(name, 0):.1f} s" for name in names[1:])]
        for number, batch in batches
    ]
    return f"\nThe batches of the first run of ours, {trades:,} trades:\n\n{_table(('batch', *names), rows)}"


def _collector(part: Mapping[str, Any]) -> str:
    head = (
        *("trades/s", "in the collector p50 / p95 / p99", "in Kafka p50 / p95 / p99", "cores", "cpu-s/M", "peak MB"),
        *("broker cores", "simulator cores"),
    )
    rows = [
        [
            f"{found['trades_per_s']:,}",
            *(_latencies(found[name]) for name in ("received_s", "in_kafka_s")),
            *(f"{found[name]:g}" for name in ("collector_cores", "cpu_s_per_million", "peak_rss_mb")),
            *(f"{found[name]:g}" for name in ("broker_cores", "market_cores")),
        ]
        for found in part["rates"]
    ]
    return _section("The collector, from the venue's websocket to Kafka", head, rows)


def _steady(part: Mapping[str, Any]) -> str:
    head = (
        *("trades/s", "late", "who", "trade p50 / p95 / p99", "bar p50 / p99", "cores", "cpu-s/M", "broker cores"),
        *("peak MB", "commits/M", "files/M", "generator behind"),
    )
    rows: _Rows = []
    phases = [(phase, each["who"]) for each in part["programs"] for phase in each["phases"]]
    for phase, who in sorted(phases, key=lambda found: (found[0]["rate_per_s"], found[0]["late"], found[1])):
        trade, bar = phase["trade_readable_s"], phase["bar_readable_s"]
        rows.append(
            [
                *(f"{phase['rate_per_s']:,}", "yes" if phase["late"] else "no", who),
                _latencies(trade),
                " / ".join(f"{bar[name]:.2f}" for name in ("p50", "p99")) + " s" if bar else "none closed",
                *(f"{phase[name]:g}" for name in ("cores", "cpu_s_per_million", "broker_cores", "peak_rss_mb")),
                *(f"{phase[name]:,}" for name in ("commits_per_million", "files_per_million")),
                f"{phase['generator_behind_s']:.2f} s",
            ]
        )
    return _section("Steady state", head, rows)


def _recovery(part: Mapping[str, Any]) -> str:
    rows = [[f"{kill['first_commit_s']:.1f} s", f"{kill['no_lag_s']:.1f} s"] for kill in part["kills"]]
    return _section(f"After kill -9 at {part['rate_per_s']:,} trades/s", ("first commit", "no lag"), rows)


def _first_commit(part: Mapping[str, Any]) -> str:
    rows = [
        [
            "both" if way["java_options"] else "the quick one alone, as it is",
            *(_spread([run[name] for run in way["runs"]]) for name in ("seconds", "cpu_s")),
        ]
        for way in part["ways"]
    ]
    head = ("compilers of the JVMs", "seconds", "cpu-s of all processes")
    return _section("`cryptolake up` to the first rows in bronze", head, rows)


def _growth(part: Mapping[str, Any]) -> str:
    head = ("case", "held", "symbols", "batches", "warm frames/s", "warm cpu-s/M", "time per trade")
    rows = [
        [
            *(case["name"], f"{case['held']['trades']:,}", f"{case['held']['symbols']:,}"),
            str(len(case["filled"]["batches"])),
            f"{case['warm_frames_per_s']:,}",
            f"{case['warm_cpu_s_per_million']:g}",
            f"x {case['time_per_trade']:.2f}",
        ]
        for case in part["cases"]
    ]
    return _section("Growth", head, rows)


def _ablations(part: Mapping[str, Any]) -> str:
    base = part["cases"][0]
    names = ("large_frames_per_s", "large_cpu_s_per_million", "small_s", "small_cpu_s")
    rows = [
        [
            case["what"] or ("with all of them" if case is base else "with all of them, once more"),
            case["otherwise"],
            *(
                f"{case[name]:,g} (x {case[name] / base[name]:.2f})" if case["name"] else f"{case[name]:,g}"
                for name in names
            ),
        ]
        for case in part["cases"]
    ]
    head = ("optimisation", "without it", "large batches: frames/s", "cpu-s/M", "small batch: s", "cpu-s")
    return _section("What each optimisation gives", head, rows)


_TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "catch_up": _catch_up,
    "collector": _collector,
    "steady": _steady,
    "recovery": _recovery,
    "first_commit": _first_commit,
    "growth": _growth,
    "ablations": _ablations,
}


def _latencies(found: Mapping[str, float]) -> str:
    return " / ".join(f"{found.get(name, 0):.2f}" for name in ("p50", "p95", "p99")) + " s"


def _section(title: str, head: Sequence[str], rows: _Rows) -> str:
    return f"### {title}\n\n{_table(head, rows)}"


def _table(head: Sequence[str], rows: _Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _spread(values: Sequence[float | None]) -> str:
    """The median, with the least and the greatest where there are more than one."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return ""
    middle = f"{median(known):,.4g}" if median(known) < 1_000 else f"{median(known):,.0f}"
    return middle if known[0] == known[-1] else f"{middle} ({known[0]:,g}-{known[-1]:,g})"


if __name__ == "__main__":
    main(sys.argv[1:])
