#!/bin/sh
# Find a Python 3.11 or 3.12 and let it do the set-up: sh scripts/setup.sh [run|dev]
set -eu
cd "$(dirname "$0")/.."
for python in .venv/bin/python python3.11 python3.12 python3 python; do
    # Tried, not only looked for: a shim may stand for a version that is not there.
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
        exec "$python" -m scripts.setup "$@"
    fi
done
echo "[setup] Python 3.11 or 3.12 is needed and was not found. Install it from your system's packages." >&2
exit 1
