"""The doctor on setups that are broken in every way it knows."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest
from rich.console import Console

from cryptolake.doctor import installed, machine
from cryptolake.doctor.console import print_findings
from cryptolake.doctor.examination import examine
from cryptolake.doctor.finding import Finding
from cryptolake.process_id import own_process_id
from cryptolake.run_files import write_json
from lakehouse.home import claim_home
from lakehouse.jars import jar_paths
from lakehouse.settings import load_settings


def found(findings: list[Finding], subject: str) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


def fake_java(folder: Path, version: str) -> None:
    (folder / "bin").mkdir(parents=True)
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)


def test_a_sound_setup_blocks_nothing(tmp_path: Path) -> None:
    findings = examine(tmp_path / "home")
    blocking = [finding for finding in findings if finding.verdict == "blocks"]
    assert not blocking
    assert found(findings, "spark jars").seen.endswith("sha256 as locked")
    assert found(findings, "lake").seen == "0 tables, no owner"


def test_no_java_blocks_and_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = found(examine(tmp_path / "home"), "java")
    assert finding.verdict == "blocks"
    assert "Install Java 17 or 21" in finding.remedy


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("1.8.0_402", "blocks"), ("11.0.22", "blocks"), ("17.0.15", "ok"), ("21.0.2", "ok"), ("25", "warning")],
)
def test_the_java_of_java_home_is_judged_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, verdict: str
) -> None:
    fake_java(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert found(list(machine.java()), "java").verdict == verdict


def test_missing_jars_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE_JARS", str(tmp_path))
    finding = found(examine(tmp_path / "home"), "spark jars")
    assert finding.verdict == "blocks"
    assert "make setup" in finding.remedy


def test_a_damaged_and_a_lost_jar_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = jar_paths("spark")
    for group in ("spark", "broker"):
        (tmp_path / group).mkdir()
        for jar in jar_paths(group):  # type: ignore[arg-type]
            (tmp_path / group / jar.name).symlink_to(jar)
    damaged, lost = (tmp_path / "spark" / jar.name for jar in jars[:2])
    damaged.unlink()
    damaged.write_bytes(jars[0].read_bytes()[:-1])
    lost.unlink()
    monkeypatch.setenv("CRYPTOLAKE_JARS", str(tmp_path))
    finding = found(list(installed.jars()), "spark jars")
    assert finding.verdict == "blocks"
    assert f"{damaged.name} is damaged" in finding.seen
    assert f"{lost.name} is missing" in finding.seen
    assert found(list(installed.jars()), "broker jars").verdict == "ok"


def test_a_wrong_package_is_named_with_its_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_requirements", lambda: ["typer>=99", "no-such-package==1", "rich"])
    finding = found(list(installed.packages()), "packages")
    assert finding.verdict == "blocks"
    assert "not >=99" in finding.seen
    assert "no-such-package is missing" in finding.seen
    assert "rich" not in finding.seen


def test_a_full_disk_warns_and_then_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * 2**30, 91 * 2**30, 9 * 2**30))
    assert found(examine(tmp_path), "disk").verdict == "warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * 2**30, 99 * 2**30, 1 * 2**30))
    assert found(examine(tmp_path), "disk").verdict == "blocks"


def test_wrong_settings_block_and_the_rest_is_still_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE__KAFKA__PARTITIONS", "many")
    findings = examine(tmp_path)
    assert found(findings, "settings").verdict == "blocks"
    assert "kafka.partitions" in found(findings, "settings").seen
    assert found(findings, "java").verdict == "ok"


def test_a_cluster_that_does_not_answer_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, but nobody listens
        monkeypatch.setenv("CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{silent.getsockname()[1]}")
        finding = found(examine(tmp_path), "broker")
    assert finding.verdict == "blocks"
    assert "no answer from 127.0.0.1" in finding.seen


def test_the_kind_of_the_home_and_what_runs_and_fails_on_it(tmp_path: Path) -> None:
    claim_home(load_settings(home=tmp_path), "simulated")
    me = own_process_id()
    failing = {"state": "backing off", "pid": None, "started": None, "restarts": 4, "problem": "no route to host"}
    noted = {"pid": me.pid, "started": me.started, "children": {"collect-binance": failing}}
    write_json(tmp_path / "run" / "supervisor.json", noted)
    findings = examine(tmp_path)
    assert found(findings, "home").seen == f"{tmp_path}: simulated, runs under pid {os.getpid()}"
    assert "no route to host" in found(findings, "collect-binance").seen
    assert "collect-binance.log" in found(findings, "collect-binance").remedy


def test_what_a_killed_supervisor_left_is_named(tmp_path: Path) -> None:
    me = own_process_id()
    child = {"state": "ready", "pid": me.pid, "started": me.started, "restarts": 0, "problem": ""}
    write_json(tmp_path / "run" / "supervisor.json", {"pid": 1, "started": "0", "children": {"lake": child}})
    finding = found(examine(tmp_path), "leftovers")
    assert finding.verdict == "warning"
    assert f"lake (pid {me.pid})" in finding.seen
    assert "cryptolake down" in finding.remedy


def test_exit_code_and_remedies_are_printed() -> None:
    console = Console(file=io.StringIO(), width=100)
    bad = [Finding("java", "blocks", "no java in PATH", "Install Java 17 or 21."), Finding("disk", "ok", "plenty")]
    assert print_findings(bad, console) == 1
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "→ Install Java 17 or 21." in text
    assert "not ready: java" in text
    assert print_findings(bad[1:], console) == 0


def test_the_command_ends_with_1_when_something_blocks(tmp_path: Path) -> None:
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "cryptolake", "--home", str(tmp_path), "doctor"],
        env={**os.environ, "CRYPTOLAKE_JARS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "make setup" in done.stdout
