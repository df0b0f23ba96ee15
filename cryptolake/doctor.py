"""What this machine and this home need, what is missing, and how to mend it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptolake.process_id import ProcessId
from cryptolake.requests import lake_owned
from cryptolake.run_files import read_json
from lakehouse.errors import CryptolakeError, SettingsError
from lakehouse.home import home_kind
from lakehouse.jars import JarGroup, jar_paths
from lakehouse.settings import Settings, load_settings

Verdict = Literal["ok", "warning", "blocks"]
_PROJECT = Path(__file__).resolve().parent.parent
_PYTHONS = ((3, 11), (3, 12))
_JAVAS = range(17, 22)
_GROUPS: tuple[JarGroup, ...] = ("spark", "broker")
_MEMORY_GIB, _DISK_GIB, _DISK_FREE_SHARE = 4.0, 2.0, 0.10
_STYLES: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "blocks": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        subject: what.
        verdict: "blocks" means that the demo cannot run.
        seen: what was found.
        remedy: what to do about it.
    """

    subject: str
    verdict: Verdict
    seen: str
    remedy: str = ""


def examine(home: Path | None = None, target: str | None = None) -> list[Finding]:
    """Look at everything; a check that fails itself is a finding, never an error."""
    findings = examine_setup()
    for subject, look_at in (("packages", packages), ("jar files", jars), ("memory", memory), ("loopback", loopback)):
        findings += _guard(subject, look_at)
    try:
        settings = load_settings(target, home=home)
    except SettingsError as error:
        return [*findings, Finding("settings", "blocks", error.what, error.remedy)]
    findings.append(Finding("settings", "ok", f"target {settings.target}, home {settings.home}"))
    looks = {"disk": disk, "home": home_state, "broker": broker, "lake": lake, "leftovers": leftovers}
    for subject, look in looks.items():
        findings += _guard(subject, partial(look, settings))
    return findings


def examine_setup() -> list[Finding]:
    """Look at what nothing can start without; fast enough for every start."""
    return [*_guard("python", python), *_guard("java", java), *_guard("jars", jars_there)]


def print_findings(findings: list[Finding], console: Console | None = None) -> int:
    """Print what was found and how to mend it; return 1 when something blocks."""
    console = console or Console(soft_wrap=not sys.stdout.isatty())
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        told = Text(finding.seen)
        if finding.verdict != "ok" and finding.remedy:
            told.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(Text(finding.verdict, style=_STYLES[finding.verdict]), finding.subject, told)
    console.print(table)
    blocking = [finding.subject for finding in findings if finding.verdict == "blocks"]
    warnings = sum(finding.verdict == "warning" for finding in findings)
    if blocking:
        console.print(f"\nnot ready: {', '.join(blocking)}", style="bold red")
        return 1
    console.print(f"\nready{f', {warnings} warning(s)' if warnings else ''}", style="bold green")
    return 0


def python() -> Iterator[Finding]:
    """The interpreter."""
    seen = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info[:2] in _PYTHONS:
        yield Finding("python", "ok", seen)
    else:
        yield Finding("python", "blocks", seen, "Install Python 3.11 or 3.12 and run `make setup` with it.")


def java() -> Iterator[Finding]:
    """The Java that Spark and the broker would use: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin" if home else None)
    where = f"JAVA_HOME={home}" if home else "PATH"
    mend = "Install Java 17 or 21 (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17)."
    if path is None:
        yield Finding("java", "blocks", f"no java in {where}", mend)
        return
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    found = re.search(r'version "(\d+)', shown.stderr + shown.stdout)
    if found is None:
        yield Finding("java", "blocks", f"{path} does not say its version", mend)
    elif int(found[1]) < _JAVAS.start:
        yield Finding("java", "blocks", f"Java {found[1]} at {path}", mend)
    elif int(found[1]) not in _JAVAS:
        yield Finding("java", "warning", f"Java {found[1]} at {path}: not proved with Spark 4.1", mend)
    else:
        yield Finding("java", "ok", f"Java {found[1]} at {path}")


def packages() -> Iterator[Finding]:
    """The installed packages against the pins of the project."""
    wrong = []
    requirements = _requirements()
    for text in requirements:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(version, prereleases=True):
            wrong.append(f"{needed.name} is {version}, not {needed.specifier}")
    if wrong:
        yield Finding("packages", "blocks", "; ".join(wrong), "Run `make setup`.")
    else:
        yield Finding("packages", "ok", f"{len(requirements)} as pinned")


def jars_there() -> Iterator[Finding]:
    """Whether the set-up has fetched the jars."""
    for group in _GROUPS:
        try:
            jar_paths(group)
        except CryptolakeError as error:
            yield Finding(f"{group} jars", "blocks", error.what, error.remedy)


def jars() -> Iterator[Finding]:
    """The jars of Spark and of the broker against the lock file: all there, and none damaged."""
    locked = locked_jars()
    for group in _GROUPS:
        try:
            there = {path.name: path for path in jar_paths(group)}
        except CryptolakeError:
            continue  # said by `jars_there`
        wanted = locked.get(group, {})
        problems = [f"{name} is missing" for name in wanted if name not in there]
        problems += [
            f"{name} is damaged" for name, sha in wanted.items() if name in there and sha != _sha256(there[name])
        ]
        if problems:
            yield Finding(f"{group} jars", "blocks", "; ".join(problems), "Run `make setup`; it fetches them again.")
        else:
            proof = "sha256 as locked" if wanted else "no lock file at hand to check them"
            yield Finding(f"{group} jars", "ok", f"{len(there)}, {proof}")


def memory() -> Iterator[Finding]:
    """Free memory: the broker takes about 0.7 GiB, the lake 3, the rest 1."""
    pages = os.sysconf("SC_PAGE_SIZE")
    total_gib = os.sysconf("SC_PHYS_PAGES") * pages / 2**30
    free_gib = total_gib
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text(encoding="utf-8"))
        free_gib = int(found[1]) / 2**20 if found else total_gib
    seen = f"{free_gib:.1f} of {total_gib:.1f} GiB free, {os.cpu_count()} cores"
    if free_gib < _MEMORY_GIB:
        remedy = (
            f"The demo takes about {_MEMORY_GIB:.0f} GiB: end something, or set CRYPTOLAKE__SPARK__DRIVER_MEMORY=1g."
        )
        yield Finding("memory", "warning", seen, remedy)
    else:
        yield Finding("memory", "ok", seen)


def loopback() -> Iterator[Finding]:
    """Whether a port can be bound on 127.0.0.1 and connected to."""
    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError as error:
        yield Finding("loopback", "blocks", f"127.0.0.1 does not work: {error}", "Bring it up: ip link set lo up.")
        return
    yield Finding("loopback", "ok", "127.0.0.1 can be bound and reached; all ports are free ones")


def disk(settings: Settings) -> Iterator[Finding]:
    """Free disk under the home."""
    folder = next(path for path in (settings.home.resolve(), *settings.home.resolve().parents) if path.exists())
    usage = shutil.disk_usage(folder)
    seen = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB free at {folder}"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "blocks", f"{folder} cannot be written", "Give a folder of your own with --home.")
    elif usage.free / 2**30 < _DISK_GIB:
        yield Finding("disk", "blocks", seen, f"At least {_DISK_GIB:.0f} GiB are needed: make room, or move --home.")
    elif usage.free < _DISK_FREE_SHARE * usage.total:
        yield Finding("disk", "warning", f"{seen}, less than 10 %", "Make room, or move the home with --home.")
    else:
        yield Finding("disk", "ok", seen)


def home_state(settings: Settings) -> Iterator[Finding]:
    """What the home holds, and who runs on it."""
    from cryptolake.supervisor import running_supervisor

    kind = home_kind(settings) or "empty: nothing was collected yet"
    supervisor = running_supervisor(settings)
    running = f", runs under pid {supervisor.pid}" if supervisor else ", nothing runs"
    yield Finding("home", "ok", f"{settings.home}: {kind}{running}")
    for name, child in read_json(settings.home / "run" / "supervisor.json").get("children", {}).items():
        if supervisor and child.get("state") in ("backing off", "failed"):
            seen = f"{child['state']} after {child['restarts']} restarts: {child['problem']}"
            yield Finding(name, "warning", seen, f"See {settings.home}/logs/{name}.log.")


def broker(settings: Settings) -> Iterator[Finding]:
    """Whether the broker answers, where one should."""
    from cryptolake.broker.local import running_broker

    at = settings.kafka.bootstrap_servers
    if at is None:
        running = running_broker(settings)
        yield Finding(
            "broker", "ok", f"runs at {running.bootstrap_servers}" if running else "none runs; started when needed"
        )
        return
    silent = [server for server in at.split(",") if not _answers(server)]
    if silent:
        remedy = "Start it, or unset kafka.bootstrap_servers to use a local one."
        yield Finding("broker", "blocks", f"no answer from {', '.join(silent)}", remedy)
    else:
        yield Finding("broker", "ok", f"{at} answers")


def lake(settings: Settings) -> Iterator[Finding]:
    """Whether the lake has tables and an owner."""
    tables = sorted(path.parent for path in (settings.home / "lake").glob("*/*/_delta_log"))
    owned = "owned by a running process" if lake_owned(settings) else "no owner"
    yield Finding("lake", "ok", f"{len(tables)} tables, {owned}")


def leftovers(settings: Settings) -> Iterator[Finding]:
    """What processes that were killed have left."""
    noted = read_json(settings.home / "run" / "supervisor.json")
    supervisor = ProcessId(int(noted.get("pid", 0)), str(noted.get("started", "")))
    if noted and not supervisor.alive():
        left = [
            f"{name} (pid {child['pid']})"
            for name, child in noted.get("children", {}).items()
            if child.get("pid") and ProcessId(int(child["pid"]), str(child["started"])).alive()
        ]
        seen = f"a supervisor was killed; still there: {', '.join(left) or 'nothing'}"
        yield Finding("leftovers", "warning", seen, "Run `cryptolake down`; nothing is lost.")


def _guard(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except Exception as error:
        return [Finding(subject, "warning", f"could not be looked at: {type(error).__name__}: {error}")]


def _requirements() -> list[str]:
    try:
        found = importlib.metadata.requires("cryptolake")
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found:
        return [text for text in found if "extra ==" not in text]
    project = _PROJECT / "pyproject.toml"
    return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])


def locked_jars() -> dict[str, dict[str, str]]:
    """Read the lock file: for each group the sha256 of each jar; empty outside a checkout."""
    path = _PROJECT / "requirements" / "jars.lock"
    locked: dict[str, dict[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if line.strip() and not line.startswith("#"):
            group, coordinates, sha = line.split()
            _, artifact, version = coordinates.split(":")
            locked.setdefault(group, {})[f"{artifact}-{version}.jar"] = sha
    return locked


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _answers(server: str) -> bool:
    host, _, port = server.strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True
