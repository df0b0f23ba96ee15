"""The command line: one place where errors become exit codes (0 done, 1 failed, 2 wrong usage)."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cryptolake.commands import backfill, data, models, processes, quarantine, reading
from cryptolake.commands.demo import demo
from cryptolake.commands.options import Options
from cryptolake.signals import interrupt_on_sigterm
from lakehouse.errors import CryptolakeError, JvmLostError

DONE, FAILED, WRONG_USAGE = 0, 1, 2

app = typer.Typer(
    name="cryptolake",
    help="Trades of crypto venues through Kafka into Delta tables, with predictions beside their baselines.",
    epilog="Start with: cryptolake demo (a simulated market; nothing else needed). Trouble: cryptolake doctor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# The order is the one `--help` shows.
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "up": processes.up,
    "down": processes.down,
    "doctor": reading.doctor,
    "watch": reading.watch,
    "sql": reading.sql,
    "sql-server": processes.sql_server,
    "audit": data.audit,
    "quality": data.quality,
    "collect": processes.collect,
    "replay": data.replay,
    "run": processes.run,
    "step": processes.step,
    "train": models.train,
    "predict": models.predict,
    "maintain": models.maintain,
    "broker": processes.broker,
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
app.add_typer(backfill.app)
app.add_typer(quarantine.app)


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of all data (default .cryptolake, or CRYPTOLAKE_HOME).", file_okay=False),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Settings of conf/<target>.yml (default local).")] = None,
) -> None:
    """Trades of crypto venues through Kafka into Delta tables, with predictions beside their baselines."""
    context.obj = Options(home, target)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = execute(sys.argv[1:])
    except JvmLostError as error:
        _say(str(error))
        # Not by way of the interpreter's end: it would wait for a batch at work, or abort where that is in C++.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(FAILED)
    sys.exit(code)


def execute(arguments: list[str]) -> int:
    """Run one command line and return its exit code; a user's mistake is one line on stderr, never a stack trace.

    Raises:
        JvmLostError: the process must end at once.
    """
    interrupt_on_sigterm()
    try:
        code = app(args=arguments, prog_name="cryptolake", standalone_mode=False)
    except typer.TyperException as error:
        show = getattr(error, "show", None)  # with the usage line; the public base class does not promise it
        show() if show else _say(error.format_message())
        return WRONG_USAGE
    except CryptolakeError as error:
        _say(str(error))
        return FAILED
    except JvmLostError:
        raise
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("CRYPTOLAKE_DEBUG") == "1":
            raise
        _say(f"{_first_line(error)}. This should not happen; the details are in {_write_trace(arguments)}")
        return FAILED
    return _interrupted() if code == 130 else int(code or DONE)


def _interrupted() -> int:
    _say("interrupted")
    return FAILED


def _say(text: str) -> None:
    print(f"cryptolake: {text}", file=sys.stderr)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__


def _write_trace(arguments: list[str]) -> Path | str:
    home = Path(_given_home(arguments) or os.environ.get("CRYPTOLAKE_HOME") or ".cryptolake")
    path = home / "logs" / f"error-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"cryptolake {' '.join(arguments)}\n\n{traceback.format_exc()}", encoding="utf-8")
    except OSError:
        traceback.print_exc()
        return "the lines above"
    return path


def _given_home(arguments: list[str]) -> str | None:
    for place, argument in enumerate(arguments):
        if argument == "--home" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--home="):
            return argument.partition("=")[2]
    return None
