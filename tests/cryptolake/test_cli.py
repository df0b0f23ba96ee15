"""What a user sees of mistakes: exit codes, one line, no stack trace; and that reading starts no JVM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bronze.venues import SOURCES
from cryptolake import cli
from cryptolake.waiting import wait_until
from lakehouse.errors import CryptolakeError
from lakehouse.home import claim_home, home_kind
from lakehouse.settings import load_settings


def cryptolake(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cryptolake", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "100", **environment},
    )


@pytest.fixture
def told_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command line in this process: its exit code and what it said on standard error."""
    monkeypatch.setattr(cli, "interrupt_on_sigterm", lambda: None)

    def run(*arguments: str) -> tuple[int, str]:
        code = cli.execute(list(arguments))
        output = capsys.readouterr()
        return code, " ".join((output.err + output.out).split())

    return run


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("name", [*cli.COMMANDS, "backfill"])
def test_every_command_has_a_sentence_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute([name, "--help"]) == cli.DONE
    told = " ".join(capsys.readouterr().out.split())
    assert f"Example: cryptolake {'--home .cryptolake ' if name == 'down' else ''}{name}" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["watch", "--times", "none"], "--times"),
        (["watch", "--every", "soon"], "'soon' is no duration"),
        (["watch", "--times", "0"], "--times"),
        (["backfill", "trades"], "No such command 'trades'"),
        (["replay", "no-such-tape.gz", "--venue", "binance"], "does not exist"),
        (["audit", "--ledger", "no-such-ledger"], "does not exist"),
        (["audit", "--ledger", "pyproject.toml", "--since", "2h"], "leave out --since"),
        (["audit", "--ledger", "pyproject.toml", "--watch"], "leave out --since"),
        (["audit", "--since", "yesterday"], "'yesterday' is no time"),
        (["audit", "--every", "30"], "rounds of --watch"),
        (["sql", "SELECT 1", "--format", "xml"], "xml"),
        (["collect"], "Missing argument"),
    ],
)
def test_wrong_usage_ends_with_2(told_here: Callable[..., tuple[int, str]], arguments: list[str], told: str) -> None:
    code, text = told_here(*arguments)
    assert code == cli.WRONG_USAGE
    assert told in text


def test_wrong_usage_of_the_program_itself(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "nonsense")
    assert done.returncode == cli.WRONG_USAGE
    assert "Traceback" not in done.stderr


def test_no_command_shows_the_help(told_here: Callable[..., tuple[int, str]]) -> None:
    code, text = told_here()
    assert code == cli.WRONG_USAGE
    assert "Start with: cryptolake demo" in text


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "watch", "--times", "1", CRYPTOLAKE__KAFKA__BOOTSTRAP_SERVER="x:1")
    assert done.returncode == cli.FAILED
    assert "kafka.bootstrap_server" in one_line(done)
    done = cryptolake(tmp_path, "watch", "--times", "1", CRYPTOLAKE__KAFAK__PARTITIONS="3")
    assert done.returncode == cli.FAILED
    assert "CRYPTOLAKE__KAFAK__PARTITIONS names no setting" in one_line(done)


def test_an_unknown_target_is_named_with_those_there_are(told_here: Callable[..., tuple[int, str]]) -> None:
    code, text = told_here("--target", "moon", "watch")
    assert code == cli.FAILED
    assert "No settings for target 'moon'. Targets in conf/:" in text


def test_an_unknown_source_is_named_with_those_there_are(
    tmp_path: Path, told_here: Callable[..., tuple[int, str]]
) -> None:
    told = told_here("--home", str(tmp_path), "collect", "kraken")
    assert told == (cli.FAILED, f"cryptolake: No source 'kraken'. Sources: {', '.join(SOURCES)}.")


def test_real_trades_are_refused_in_a_simulated_home(tmp_path: Path, told_here: Callable[..., tuple[int, str]]) -> None:
    claim_home(load_settings(home=tmp_path), "simulated")
    code, text = told_here("--home", str(tmp_path), "collect", "binance")
    assert code == cli.FAILED
    assert "is simulated and its simulator does not run" in text
    tape = tmp_path / "tape.jsonl"
    tape.write_text("{}\n")
    code, text = told_here("--home", str(tmp_path), "replay", str(tape), "--venue", "binance")
    assert code == cli.FAILED
    assert "holds simulated data. It never mixes with real data" in text
    assert home_kind(load_settings(home=tmp_path)) == "simulated"


def test_a_demo_is_refused_in_a_home_of_real_trades(tmp_path: Path, told_here: Callable[..., tuple[int, str]]) -> None:
    claim_home(load_settings(home=tmp_path), "real")
    code, text = told_here("--home", str(tmp_path), "demo", "--seconds", "1")
    assert code == cli.FAILED
    assert "holds real data" in text


def test_an_unexpected_error_is_one_line_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("cryptolake.watch.watch", fail)
    home = str(tmp_path / "home")
    assert cli.execute(["--home", home, "watch"]) == cli.FAILED
    told = capsys.readouterr().err.strip()
    assert told.startswith("cryptolake: ZeroDivisionError: of all things. This should not happen; the details are in ")
    log = Path(told.rpartition(" ")[2])
    assert log.parent == tmp_path / "home" / "logs"
    assert "Traceback" in log.read_text()
    monkeypatch.setenv("CRYPTOLAKE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.execute(["--home", home, "watch"])


def test_an_error_with_a_remedy_is_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise CryptolakeError("The disk is full", "Make room.")

    monkeypatch.setattr("cryptolake.watch.watch", fail)
    assert cli.execute(["--home", str(tmp_path), "watch"]) == cli.FAILED
    assert capsys.readouterr().err == "cryptolake: The disk is full. Make room.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_so(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "cryptolake", "--home", str(tmp_path), "watch", "--every", "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "no bar yet" in process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
    assert process.returncode == cli.FAILED
    assert told == "cryptolake: interrupted\n"


def test_sql_answers_without_a_jvm(tmp_path: Path) -> None:
    done = cryptolake(
        tmp_path, "sql", "SELECT 1 AS one", "--format", "csv", JAVA_HOME="/nonexistent", PATH="/nonexistent"
    )
    assert (done.returncode, done.stdout) == (cli.DONE, "one\n1\n")


def test_help_imports_no_spark_and_is_fast(tmp_path: Path) -> None:
    code = (
        "import sys, cryptolake.cli as c; c.execute(['--help']);"
        "heavy = {'pyspark', 'deltalake', 'pyarrow', 'kafka', 'mlflow', 'pandas'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_output_into_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cryptolake", "--home", str(tmp_path), "watch", "--every", "1", "--times", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert wait_until(lambda: process.poll() is not None, 15)
        assert process.stderr.read() == ""


def test_down_is_idempotent(tmp_path: Path) -> None:
    for _ in range(2):
        done = cryptolake(tmp_path, "down")
        assert (done.returncode, done.stdout.strip()) == (cli.DONE, f"{tmp_path}: nothing runs")


def test_watch_answers_without_a_jvm(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "watch", "--times", "1", JAVA_HOME="/nonexistent", PATH="/nonexistent")
    assert (done.returncode, done.stderr) == (cli.DONE, "")
