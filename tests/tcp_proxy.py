"""A TCP proxy on loopback whose network can be taken away: refused at once, or without a sign of life."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from cryptolake.broker import local
from cryptolake.broker.config import server_properties
from cryptolake.broker.local import LocalBroker
from cryptolake.broker.ports import LOOPBACK
from lakehouse.settings import KafkaSettings, Settings

Outage = Literal["refuse", "silence"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close sends RST


class TcpProxy:
    """Carries connections to `target`, unless `cut`; nobody need listen there yet."""

    def __init__(self) -> None:
        self.target = ("127.0.0.1", 0)
        self.outages = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._refusing = False
        self._passing = threading.Event()
        self._passing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, how: Outage) -> None:
        """Take the network away: reset every connection and refuse new ones, or let nothing through."""
        self.outages += 1
        if how == "silence":
            self._passing.clear()
            return
        self._refusing = True
        self._reset_all()

    def restore(self) -> None:
        """Give the network back; what was silent goes on where it was."""
        self._refusing = False
        self._passing.set()

    def close(self) -> None:
        self._refusing = True
        self._passing.set()
        self._listener.close()
        self._reset_all()

    def _reset_all(self) -> None:
        with self._lock:
            ended, self._open = self._open, set()
        for each in ended:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._refusing:
                    raise ConnectionError("no network")
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65_536):
                self._passing.wait()
                sink.sendall(content)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class ProxiedBroker(LocalBroker):
    """A broker that sends all its clients through a proxy."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.proxy = TcpProxy()

    def start(self, *, adopt: bool = False) -> str:
        """As of every broker; the address is that of the proxy."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local, "server_properties", self._properties)
            super().start(adopt=adopt)
        return self.proxy.address

    def stop(self) -> None:
        super().stop()
        self.proxy.close()

    def _properties(self, kafka: KafkaSettings, data: Path, ports: tuple[int, int]) -> str:
        self.proxy.target = (LOOPBACK, ports[0])
        own = f"advertised.listeners=BROKER://{LOOPBACK}:{ports[0]}\n"
        properties = server_properties(kafka, data, ports)
        assert own in properties
        return properties.replace(own, f"advertised.listeners=BROKER://{self.proxy.address}\n")
