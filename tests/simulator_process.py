"""Runs the market simulator as a process of its own, for tests: start, kill, start again on the same home."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import websocket

REPO_ROOT = Path(__file__).resolve().parents[1]
START_S = 30


def simulated_urls(urls: dict[str, Any]) -> dict[str, str]:
    """The environment that points the venues at a simulator."""
    return {
        "CRYPTOLAKE__VENUES__BINANCE__WS_URL": urls["ws_url"],
        "CRYPTOLAKE__VENUES__BINANCE__REST_URL": urls["rest_url"],
        "CRYPTOLAKE__VENUES__BYBIT__WS_URL": urls["ws_url"],
        "CRYPTOLAKE__VENUES__BYBIT__REST_URL": urls["rest_url"],
        "CRYPTOLAKE__VENUES__COINCAP__WS_URL": urls["coincap_ws_url"],
        "CRYPTOLAKE__VENUES__COINCAP__PRICE_WS_URL": urls["coincap_price_ws_url"],
        "CRYPTOLAKE__VENUES__COINGECKO__URL": urls["coingecko_url"],
    }


@dataclass
class Answer:
    status: int
    body: Any
    headers: Message


@dataclass
class SimulatorProcess:
    """The simulator on one home; flags as on its command line, with underscores."""

    home: Path
    flags: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    urls: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def ledger_path(self) -> Path:
        return Path(self.flags.get("ledger", self.home / "simulator" / "ledger.jsonl"))

    def start(self, **flags: Any) -> SimulatorProcess:
        self.flags |= flags
        port_file = self.home / "simulator-port.json"
        port_file.unlink(missing_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "simulator", "--home", str(self.home), "--port-file", str(port_file)]
        for name, value in self.flags.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        environment = os.environ | {"PYTHONPATH": str(REPO_ROOT)} | self.environment
        self.process = subprocess.Popen(command, cwd=REPO_ROOT, env=environment)
        deadline = time.monotonic() + START_S
        while not port_file.exists():
            assert self.process.poll() is None, f"the simulator ended with {self.process.returncode}"
            assert time.monotonic() < deadline, "the simulator did not open its port"
            time.sleep(0.02)
        self.urls = json.loads(port_file.read_text())
        return self

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and give its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=10)

    def socket(self, path: str, timeout: float = 10, **options: Any) -> websocket.WebSocket:
        return websocket.create_connection(self.urls["ws_url"] + path, timeout=timeout, **options)

    def get(self, path: str, **headers: str) -> Answer:
        request = urllib.request.Request(self.urls["rest_url"] + path, headers=headers)  # noqa: S310
        return _asked(request)

    def raw(self, path: str) -> Answer:
        """Give an answer with its body as bytes, whatever they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.urls["port"], timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers)
        finally:
            connection.close()

    def api(self, path: str) -> Any:
        """Give the body of a REST answer that must be a good one."""
        answer = self.get(f"/api/v3/{path}")
        assert answer.status == 200, answer.body
        return answer.body

    def fault(self, **what: Any) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310
            self.urls["rest_url"] + "/control/faults", data=json.dumps(what).encode(), method="POST"
        )
        answer = _asked(request)
        assert answer.status == 200, answer.body
        return dict(answer.body)

    def status(self) -> dict[str, Any]:
        return dict(self.get("/control/status").body)

    def ledger(self, venue: str | None = None) -> list[dict[str, Any]]:
        lines = self.ledger_path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is being written
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if venue in (None, row["venue"])]


def _asked(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            return Answer(response.status, json.loads(response.read()), response.headers)
    except urllib.error.HTTPError as error:
        body = error.read()
        try:
            return Answer(error.code, json.loads(body), error.headers)
        except ValueError:
            return Answer(error.code, body, error.headers)
