"""Write the locks in requirements/ anew: newest versions that pyproject.toml allows, with hashes, naming no index."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".venv" / "bin" / "uv"
OPTIONS = ("--universal", "--python-version=3.11", "--generate-hashes", "--no-header", "--no-annotate", "--upgrade")
LOCKS = {
    "uv.lock": ("requirements/uv.in",),
    "build.lock": ("requirements/build.in",),
    "run.lock": ("pyproject.toml", "requirements/run.in"),
    # dev holds run's versions, so that one environment serves both
    "fuzz.lock": ("requirements/fuzz.in",),
    "bench.lock": ("requirements/bench.in",),
    "dev.lock": ("pyproject.toml", "--extra=dev", "requirements/dev.in", "--constraints=requirements/run.lock"),
}


def main() -> None:
    """Compile every lock, in the order in which they build on each other."""
    for name, sources in LOCKS.items():
        print(f"locking requirements/{name}", flush=True)
        command = [str(UV), "pip", "compile", "--quiet", *OPTIONS, *sources, f"--output-file=requirements/{name}"]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
