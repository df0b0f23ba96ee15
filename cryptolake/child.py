"""Runs one Python module as a child of the supervisor: `python -m cryptolake.child MODULE ARGUMENTS...`.

A child that loses its supervisor, even by kill -9, ends too: first as SIGTERM would end it, and if that takes too long
with all its own children.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

SUPERVISOR_PID = "CRYPTOLAKE_SUPERVISOR_PID"
_LOOK_EVERY_S = 0.25
_PATIENCE_S = 10.0


def supervised() -> bool:
    """Whether this process was started by a supervisor."""
    return SUPERVISOR_PID in os.environ


def end_with_parent(parent: int) -> None:
    """Watch, in a thread, that the parent lives; end this process when it does not."""
    threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    # Asking for the parent's id works on every Unix and needs no descriptor that others could keep open.
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the module named by the first argument."""
    module, *arguments = sys.argv[1:]
    end_with_parent(int(os.environ[SUPERVISOR_PID]))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
