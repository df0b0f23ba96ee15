"""What this machine and this home need, what is missing, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cryptolake.doctor import home as home_of
from cryptolake.doctor import installed, machine
from cryptolake.doctor.finding import Finding
from lakehouse.errors import SettingsError
from lakehouse.settings import load_settings


def examine(home: Path | None = None, target: str | None = None) -> list[Finding]:
    """Look at everything; a check that fails itself is a finding, never an error."""
    findings = examine_setup()
    for subject, look_at in (
        ("packages", installed.packages),
        ("jar files", installed.jars),
        ("memory", machine.memory),
        ("loopback", machine.loopback),
    ):
        findings += _guard(subject, look_at)
    try:
        settings = load_settings(target, home=home)
    except SettingsError as error:
        return [*findings, Finding("settings", "blocks", error.what, error.remedy)]
    findings.append(Finding("settings", "ok", f"target {settings.target}, home {settings.home}"))
    looks = {
        "disk": machine.disk,
        "home": home_of.home_state,
        "broker": home_of.broker,
        "lake": home_of.lake,
        "leftovers": home_of.leftovers,
    }
    for subject, look in looks.items():
        findings += _guard(subject, partial(look, settings))
    return findings


def examine_setup() -> list[Finding]:
    """Look at what nothing can start without; fast enough for every start."""
    return [*_guard("python", machine.python), *_guard("java", machine.java), *_guard("jars", installed.jars_there)]


def _guard(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except Exception as error:
        return [Finding(subject, "warning", f"could not be looked at: {type(error).__name__}: {error}")]
