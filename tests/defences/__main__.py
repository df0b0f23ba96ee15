"""Takes out each defence in a copy of the code, and sees its experiment fail: `make defences`.

Words of the command line choose the experiments whose test contains one of them; without any, all are done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from defences.removals import REMOVALS, Edit, Removal

REPO_ROOT = Path(__file__).resolve().parents[2]
RESULTS = REPO_ROOT / "benchmarks" / "results" / "defences.json"
LIMIT_S = 1200
_TEAR_DOWN_S = 60
_SET_UP = (".venv", ".jars")
_NOT_COPIED = (".git", *_SET_UP, ".cryptolake", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis")
_SAID_CHARS, _SAID_LINES = 500, 6
_EXPLAINED = re.compile(r"^[>E]  (.*)$", re.MULTILINE)  # the line that failed, and what pytest says of it
_FOLDER = re.compile(re.escape(tempfile.gettempdir()) + r"[^\s'\",\])]*")  # of the copy, or of a test
_FAILURE = re.compile(r"^FAILED .*? - (.*)$", re.MULTILINE)  # of the short summary; an error of a fixture is none
_TESTS_FAILED = 1  # pytest's exit code; others mean that it could not run them


def main(words: list[str]) -> int:
    """Run the chosen ones; return 1 when an experiment holds without its defence."""
    chosen = [removal for removal in REMOVALS if not words or any(word in removal.test for word in words)]
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    useless = 0
    with copied_code() as root:
        for number, removal in enumerate(chosen, 1):
            shown = shown_without(removal, root)
            useless += not shown["failed"]
            print(
                f"{number}/{len(chosen)} {'failed' if shown['failed'] else 'HELD'} in {shown['duration_s']} s without"
                f" {removal.defence}\n    {removal.test}\n    {shown['said']}",
                flush=True,
            )
            results[removal.test] = {"defence": removal.defence, **shown}
            RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n", encoding="utf-8")
    print(f"{len(chosen) - useless} of {len(chosen)} experiments failed without their defence")
    return int(useless > 0)


@contextmanager
def copied_code() -> Iterator[Path]:
    """A copy of the working tree beside which nothing is changed; what set-up has brought is linked."""
    with tempfile.TemporaryDirectory(prefix="defences-") as folder:
        root = Path(folder) / "code"
        shutil.copytree(REPO_ROOT, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        for name in _SET_UP:
            (root / name).symlink_to(REPO_ROOT / name)
        yield root


def shown_without(removal: Removal, root: Path) -> dict[str, Any]:
    """Run an experiment on the copy, without its defence."""
    held = {edit.path: (root / edit.path).read_text(encoding="utf-8") for edit in removal.edits}
    try:
        for edit in removal.edits:
            take_out(edit, root)
        began_s = time.monotonic()
        code, printed = run_test(removal, root)
    finally:
        for path, text in held.items():
            (root / path).write_text(text, encoding="utf-8")
    failed = code == _TESTS_FAILED and bool(failures := _FAILURE.findall(printed))
    said = (
        " ".join((_EXPLAINED.findall(printed) or failures)[:_SAID_LINES]) if failed else printed.strip()[-_SAID_CHARS:]
    )
    return {
        "failed": failed,
        "said": _FOLDER.sub("<folder>", " ".join(said.split()))[:_SAID_CHARS],
        "duration_s": round(time.monotonic() - began_s),
        "day": datetime.now(UTC).date().isoformat(),
    }


def take_out(edit: Edit, root: Path) -> None:
    """Change one place of the copy.

    Raises:
        ValueError: the place is not there, or more than once.
    """
    path = root / edit.path
    text = path.read_text(encoding="utf-8")
    if text.count(edit.held) != 1:
        raise ValueError(f"{edit.path} holds {text.count(edit.held)} times:\n{edit.held}")
    path.write_text(text.replace(edit.held, edit.removed), encoding="utf-8")


def run_test(removal: Removal, root: Path) -> tuple[int, str]:
    """The exit code of pytest, and what it printed."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-rf", "-p", "no:cacheprovider", removal.test]
    # Before what the environment has installed, which are the files of the working tree.
    environment = os.environ | {"PYTHONPATH": str(root), "COLUMNS": "600"} | removal.environment
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C reaches us alone, and the test once, by us
    ) as process:
        try:
            printed, _ = process.communicate(timeout=LIMIT_S)
        finally:
            if process.poll() is None:
                stop(process)
    return process.returncode, printed


def stop(process: subprocess.Popen[str]) -> None:
    """Have pytest end what the test has started: brokers and collectors in sessions of their own outlive a kill."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_TEAR_DOWN_S)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
