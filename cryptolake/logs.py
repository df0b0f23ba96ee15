"""Where the processes' logs go: a process of a supervisor logs to its standard error, a console to a file."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

# They tell more than anyone reads.
_CHATTY = ("kafka", "py4j", "websocket", "alembic", "mlflow")


def log_to(path: Path | None = None) -> None:
    """Log from INFO on, with UTC times, to a file or to standard error."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler() if path is None else logging.FileHandler(path, encoding="utf-8")
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of every tenth of a second that a busy machine kept it waiting.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)


def put_away(path: Path, above_bytes: int) -> None:
    """Empty a log that has grown above a size; what it held takes the place of `<name>.log.1`.

    Args:
        path: the log, which its writers have open for appending; what they write meanwhile may be lost.
        above_bytes: nothing is done up to this size.
    """
    if not path.exists() or path.stat().st_size <= above_bytes:
        return
    kept = path.with_suffix(".log.1")
    shutil.copyfile(path, kept.with_suffix(".tmp"))
    kept.with_suffix(".tmp").replace(kept)
    os.truncate(path, 0)
