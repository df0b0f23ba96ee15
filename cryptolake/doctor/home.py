"""What a home holds, who runs on it, and what those who were killed have left."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from cryptolake.doctor.finding import Finding
from cryptolake.process_id import ProcessId
from cryptolake.requests import lake_owned
from cryptolake.run_files import read_json
from lakehouse.home import home_kind
from lakehouse.settings import Settings


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


def _answers(server: str) -> bool:
    host, _, port = server.strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True
