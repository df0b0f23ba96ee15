"""The supervisor on small real processes: order, restarts, and that nothing is left, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryptolake.children import ChildSpec
from cryptolake.process_id import ProcessId
from cryptolake.run_files import write_json
from cryptolake.supervisor import Supervisor, SupervisorError, running_supervisor, stop_running
from cryptolake.waiting import wait_until
from lakehouse.settings import Settings, load_settings

# A server with a helper of its own in its process group, as the lake has its JVM; it notes its signals.
SERVER = textwrap.dedent(
    """
    import os, signal, socket, subprocess, sys, time
    name, folder, stubborn = sys.argv[1], sys.argv[2], "stubborn" in sys.argv
    def note(what):
        with open(f"{folder}/events", "a") as file:
            file.write(f"{name} {what}\\n")
    ended = []
    def on_signal(number, frame):
        note(signal.Signals(number).name)
        ended.append(number)
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    helper = subprocess.Popen(["sleep", "300"])
    server = socket.create_server(("127.0.0.1", 0))
    open(f"{folder}/{name}.tmp", "w").write(f"{os.getpid()} {helper.pid} {server.getsockname()[1]}")
    os.replace(f"{folder}/{name}.tmp", f"{folder}/{name}.up")
    while stubborn or not ended:
        time.sleep(0.02)
    helper.kill()
    helper.wait()
    note("ended")
    """
)
# Runs the supervisor as `cryptolake up` does.
DRIVER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from cryptolake.signals import stop_on_signals
    from cryptolake.children import ChildSpec
    from cryptolake.supervisor import Supervisor
    from lakehouse.settings import load_settings
    folder = Path(sys.argv[1])
    def spec(name, stage, *more):
        return ChildSpec(name, lambda: ["server_for_tests", name, str(folder), *more], stage=stage, patience_s=2.0)
    supervisor = Supervisor(load_settings(home=folder / "home"), [spec("broker", 2), spec("lake", 1), spec("feed", 0)])
    with stop_on_signals() as stop:
        supervisor.start()
        try:
            while not stop.wait(0.05):
                supervisor.tick()
        finally:
            supervisor.stop()
    """
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the server as a module that children can run."""
    (tmp_path / "server_for_tests.py").write_text(SERVER)
    (tmp_path / "driver.py").write_text(DRIVER)
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    return tmp_path


@pytest.fixture
def settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CRYPTOLAKE__SUPERVISOR__RESTART_BACKOFF_S", "0.2")
    return load_settings(home=folder / "home")


@pytest.fixture
def supervised(settings: Settings) -> Iterator[Callable[..., Supervisor]]:
    """Start a supervisor in this process; it is stopped at the end."""
    started: list[Supervisor] = []

    def start(*specs: ChildSpec) -> Supervisor:
        supervisor = Supervisor(settings, specs)
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop()


def server(folder: Path, name: str, *more: str, stage: int = 0, patience_s: float = 5.0) -> ChildSpec:
    return ChildSpec(
        name,
        lambda: ["server_for_tests", name, str(folder), *more],
        ready=lambda pid: up(folder, name)[:1] == [pid],
        stage=stage,
        patience_s=patience_s,
    )


def up(folder: Path, name: str) -> list[int]:
    """Pid of a server, of its helper, and its port; empty before it is up."""
    path = folder / f"{name}.up"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def events(folder: Path) -> list[str]:
    path = folder / "events"
    return path.read_text().splitlines() if path.exists() else []


def runs(pid: int) -> bool:
    return ProcessId.of(pid) is not None


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def tick_until(supervisor: Supervisor, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    def look() -> bool:
        supervisor.tick()
        return condition()

    assert wait_until(look, timeout_s, 0.02), {name: child.state for name, child in supervisor.children.items()}


def all_ready(supervisor: Supervisor) -> bool:
    return all(child.state == "ready" for child in supervisor.children.values())


def test_children_stop_stage_by_stage_and_leave_nothing(
    folder: Path, settings: Settings, supervised: Callable[..., Supervisor]
) -> None:
    supervisor = supervised(
        server(folder, "broker", stage=2), server(folder, "lake", stage=1), server(folder, "feed", stage=0)
    )
    tick_until(supervisor, lambda: all_ready(supervisor))
    told = json.loads((settings.home / "run" / "supervisor.json").read_text())
    assert told["children"]["lake"]["state"] == "ready"
    assert told["children"]["lake"]["pid"] == up(folder, "lake")[0]

    supervisor.stop()

    assert [line for line in events(folder) if line.endswith("ended")] == ["feed ended", "lake ended", "broker ended"]
    for name in ("feed", "lake", "broker"):
        pid, helper, port = up(folder, name)
        assert not runs(pid)
        assert not runs(helper)
        assert port_is_free(port)
    assert not (settings.home / "run" / "supervisor.json").exists()


def test_a_long_log_is_put_away_while_its_process_goes_on_writing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, supervised: Callable[..., Supervisor]
) -> None:
    (folder / "talker.py").write_text(
        "import time\nn = 0\nwhile True:\n    n += 1\n    print(n, flush=True)\n    time.sleep(1e-4)"
    )
    supervisor = supervised(ChildSpec("talker", lambda: ["talker"]))
    limits = settings.supervisor.model_copy(update={"log_bytes": 20_000})
    supervisor.settings = settings.model_copy(update={"supervisor": limits})
    path = supervisor.log_path("talker")
    kept = path.with_suffix(".log.1")
    tick_until(supervisor, lambda: kept.exists() and path.read_text().count("\n") > 10)
    earlier, later = ([int(line) for line in p.read_text().split("\n")[:-1]] for p in (kept, path))
    assert earlier == list(range(earlier[0], earlier[0] + len(earlier)))
    assert later == list(range(later[0], later[0] + len(later)))
    assert later[0] > earlier[-1]
    assert supervisor.children["talker"].restarts == 0


def test_a_child_waits_for_what_it_needs(folder: Path, supervised: Callable[..., Supervisor]) -> None:
    may_start: list[bool] = []
    spec = ChildSpec("late", lambda: ["server_for_tests", "late", str(folder)], may_start=lambda: bool(may_start))
    supervisor = supervised(spec)
    supervisor.tick()
    assert supervisor.children["late"].state == "waiting"
    may_start.append(True)
    tick_until(supervisor, lambda: bool(up(folder, "late")))


def test_a_killed_child_is_started_again_and_its_helper_does_not_stay(
    folder: Path, supervised: Callable[..., Supervisor]
) -> None:
    supervisor = supervised(server(folder, "lake"))
    tick_until(supervisor, lambda: all_ready(supervisor))
    pid, helper, _ = up(folder, "lake")

    os.kill(pid, signal.SIGKILL)

    child = supervisor.children["lake"]
    tick_until(supervisor, lambda: child.restarts == 1 and child.state == "ready")
    assert up(folder, "lake")[0] != pid
    assert wait_until(lambda: not runs(helper), 5)


def test_failures_in_a_row_wait_longer_and_are_told(
    settings: Settings, folder: Path, supervised: Callable[..., Supervisor]
) -> None:
    (folder / "broken_for_tests.py").write_text("raise SystemExit('cryptolake: the disk is full')")
    supervisor = supervised(ChildSpec("broken", lambda: ["broken_for_tests"]))
    child = supervisor.children["broken"]
    waits = []
    for failures in (1, 2, 3):
        tick_until(supervisor, lambda failures=failures: child.failures == failures)  # type: ignore[misc]
        waits.append(child.start_again_at - time.monotonic())
    assert waits[0] < waits[1] < waits[2]
    assert waits == pytest.approx([0.2, 0.4, 0.8], abs=0.15)
    assert child.problem == "cryptolake: the disk is full"


def test_wrong_usage_is_not_tried_again(folder: Path, supervised: Callable[..., Supervisor]) -> None:
    (folder / "misused_for_tests.py").write_text("raise SystemExit(2)")
    supervisor = supervised(ChildSpec("misused", lambda: ["misused_for_tests"]))
    tick_until(supervisor, lambda: supervisor.children["misused"].state == "failed")


def test_work_that_is_done_once_is_not_started_again(folder: Path, supervised: Callable[..., Supervisor]) -> None:
    (folder / "once_for_tests.py").write_text("")
    supervisor = supervised(ChildSpec("backfill", lambda: ["once_for_tests"], once=True))
    tick_until(supervisor, lambda: supervisor.children["backfill"].state == "done")
    supervisor.tick()
    assert supervisor.children["backfill"].restarts == 0


def test_a_child_that_ignores_sigterm_is_killed_with_its_helper(
    folder: Path, supervised: Callable[..., Supervisor]
) -> None:
    supervisor = supervised(server(folder, "stuck", "stubborn", patience_s=0.5))
    tick_until(supervisor, lambda: all_ready(supervisor))
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 3
    pid, helper, port = up(folder, "stuck")
    assert not runs(pid)
    assert wait_until(lambda: not runs(helper), 2)
    assert port_is_free(port)


def test_a_second_supervisor_is_refused_and_named(
    folder: Path, settings: Settings, supervised: Callable[..., Supervisor]
) -> None:
    supervised(server(folder, "lake"))
    with pytest.raises(SupervisorError, match=rf"runs already \(pid {os.getpid()}\).*cryptolake down"):
        Supervisor(settings, []).start()


@pytest.fixture
def driver(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own, leading a process group as it would in a terminal."""
    process = subprocess.Popen([sys.executable, str(folder / "driver.py"), str(folder)], start_new_session=True)
    assert wait_until(lambda: all(up(folder, name) for name in ("broker", "lake", "feed")), 30)
    yield process
    process.kill()
    process.wait()


def nothing_left(folder: Path) -> bool:
    pids = [pid for name in ("broker", "lake", "feed") for pid in up(folder, name)[:2]]
    return not any(runs(pid) for pid in pids)


def test_ctrl_c_to_the_whole_group_of_the_terminal_stops_in_order(
    folder: Path, driver: subprocess.Popen[bytes]
) -> None:
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(15) == 0
    assert nothing_left(folder)
    # SIGINT reached no child: each was asked by the supervisor, when its turn had come.
    assert events(folder) == [f"{name} {what}" for name in ("feed", "lake", "broker") for what in ("SIGTERM", "ended")]


def test_kill_9_of_the_supervisor_leaves_no_process_no_port_and_no_lock(
    folder: Path, settings: Settings, driver: subprocess.Popen[bytes]
) -> None:
    ports = [up(folder, name)[2] for name in ("broker", "lake", "feed")]
    driver.kill()
    driver.wait()
    assert wait_until(lambda: nothing_left(folder), 15)
    assert all(port_is_free(port) for port in ports)
    assert running_supervisor(settings) is None
    again = Supervisor(settings, [])
    again.start()
    again.stop()


def test_down_stops_the_one_that_runs_and_says_when_none_does(
    folder: Path, settings: Settings, driver: subprocess.Popen[bytes]
) -> None:
    assert running_supervisor(settings) is not None
    assert stop_running(settings)
    assert driver.wait(5) == 0
    assert nothing_left(folder)
    assert not stop_running(settings)


def test_down_stops_what_a_killed_supervisor_left(folder: Path, settings: Settings) -> None:
    with subprocess.Popen(["/bin/sleep", "300"], start_new_session=True) as orphan:
        identity = ProcessId.of(orphan.pid)
        assert identity is not None
        child = {"state": "ready", "pid": identity.pid, "started": identity.started}
        write_json(settings.home / "run" / "supervisor.json", {"pid": 1, "started": "0", "children": {"lake": child}})
        assert stop_running(settings)
        assert orphan.wait(5) == -signal.SIGTERM


def test_down_never_touches_a_process_that_only_shares_the_pid(settings: Settings) -> None:
    me = {"state": "ready", "pid": os.getpid(), "started": "another time"}
    noted = {"pid": os.getpid(), "started": "another time", "children": {"lake": me}}
    write_json(settings.home / "run" / "supervisor.json", noted)
    assert not stop_running(settings)
