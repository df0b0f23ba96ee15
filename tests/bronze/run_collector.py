"""Runs one collector as a process of its own: `run_collector.py SOURCE HOME BOOTSTRAP`; SIGTERM ends it."""

import logging
import signal
import sys
import threading
from pathlib import Path

from bronze.collector import collect
from lakehouse.errors import CryptolakeError
from lakehouse.settings import load_settings

source, home, bootstrap = sys.argv[1:]
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
logging.getLogger("kafka").setLevel(logging.CRITICAL)
stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())
try:
    collect(source, load_settings(home=Path(home)), bootstrap, stop)
except CryptolakeError as error:
    sys.exit(str(error))
