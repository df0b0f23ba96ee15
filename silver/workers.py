"""What Spark starts its Python workers from: its own daemon, which has the strict parser loaded before it forks them.

A worker that finds no work for a minute is ended, so otherwise every second burst of frames waits for the imports.
"""

from __future__ import annotations

import pandas  # noqa: F401 - pyarrow looks for it at the first array a process builds
from pyspark import daemon

import silver.strict  # noqa: F401 - what the workers run

if __name__ == "__main__":
    daemon.manager()  # type: ignore[no-untyped-call]
