"""Publishes a daily trade dump of data.binance.vision, its lines as they came, through spool and Kafka.

Format: binance/binance-public-data, README: one CSV file in the zip, for spot without a header; beside it may lie the
sha256 of the zip in FILE.zip.CHECKSUM.
"""

from __future__ import annotations

import hashlib
import re
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bronze.frames import oversize_marker
from bronze.outbox import outbox
from bronze.record import Record
from bronze.venues.protocol import OVERSIZE, TRADE_DUMP
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

_NAME = re.compile(r"([A-Z0-9]{1,40})-trades-\d{4}-\d{2}(?:-\d{2})?\.zip")
_SYMBOL = re.compile(r"[A-Z0-9]{1,40}")
_LINES_LOOKED_AT, _BYTES_LOOKED_AT = 10_000, 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError)


@dataclass(frozen=True)
class Dump:
    """A dump that was found whole.

    Args:
        path: the zip.
        symbol: as the venue writes it.
        sha256: of the zip.
    """

    path: Path
    symbol: str
    sha256: str


@dataclass(frozen=True)
class PublishedDump:
    """What was published.

    Args:
        lines: how many lines.
        frames: in how many frames.
    """

    lines: int
    frames: int


def open_dump(path: Path, symbol: str | None = None) -> Dump:
    """Look at a dump from end to end, before anything of it is published.

    Args:
        path: the zip as downloaded.
        symbol: the venue's symbol; by default the name of the file tells it.

    Raises:
        CryptolakeError: no symbol, no such file, a damaged zip, another number of files in it, another checksum.
    """
    named = _NAME.fullmatch(path.name)
    if symbol is None and named is None:
        raise CryptolakeError(
            f"{path.name} is not named like a dump (BTCUSDT-trades-2024-08-09.zip)", "Name its symbol with --symbol."
        )
    symbol = symbol or (named[1] if named else "")
    if not _SYMBOL.fullmatch(symbol):
        raise CryptolakeError(f"{symbol!r} is no symbol of Binance", "Write it like BTCUSDT.")
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CryptolakeError(f"The dump {path} cannot be read ({error.strerror})", "Check the path.") from None
    _check_sum(path, sha256)
    for _ in _pieces(path, _LINES_LOOKED_AT, _BYTES_LOOKED_AT):
        pass
    return Dump(path, symbol, sha256)


def publish_dump(dump: Dump, settings: Settings, bootstrap_servers: str) -> PublishedDump:
    """Publish all lines, and wait until Kafka has them.

    The session is the sha256 of the zip and the sequence the number of the frame, so a second run changes nothing below
    bronze; a trade that silver has is a further copy, whatever the unit of its time.

    Args:
        dump: as `open_dump` gives it.
        settings: the whole tree.
        bootstrap_servers: the brokers.

    Raises:
        CryptolakeError: the file changed meanwhile, or Kafka does not take it.
    """
    collector = settings.collector
    lines = frames = 0
    with outbox(settings, bootstrap_servers, "backfill-dump") as out:
        for payload, count in _pieces(dump.path, settings.backfill.dump_frame_lines, collector.oversize_bytes):
            channel = TRADE_DUMP
            if len(payload) > collector.oversize_bytes:
                channel, payload = OVERSIZE, oversize_marker(payload, collector.oversize_head_bytes)
            now_us = time.time_ns() // 1000
            out.put(Record("binance", channel, dump.symbol, dump.sha256, frames, now_us, "backfill", payload))
            lines, frames = lines + count, frames + 1
        out.flush()
    return PublishedDump(lines, frames)


def _check_sum(path: Path, sha256: str) -> None:
    beside = path.with_name(f"{path.name}.CHECKSUM")
    try:
        wanted = beside.read_text(encoding="utf-8", errors="replace").split(maxsplit=1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CryptolakeError(f"{beside} cannot be read ({error.strerror})", "Mend or remove it.") from None
    if not wanted or wanted[0].lower() != sha256:
        raise CryptolakeError(
            f"{path.name} has another sha256 than {beside.name} says", "It is damaged or was issued anew: fetch both."
        )


def _pieces(path: Path, most_lines: int, most_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Cut the content at line ends: so many lines at most, and so many bytes unless one line is longer."""
    piece: list[bytes] = []
    size = 0
    try:
        with _content(path) as content:
            # Read to its end: only there is the zip's own checksum compared.
            while line := content.readline(2 * most_bytes):
                if piece and (len(piece) == most_lines or size + len(line) > most_bytes):
                    yield b"".join(piece), len(piece)
                    piece, size = [], 0
                piece.append(line)
                size += len(line)
    except _DAMAGE as error:
        raise CryptolakeError(f"The dump {path.name} is damaged ({error})", "Fetch it again.") from None
    if piece:
        yield b"".join(piece), len(piece)


@contextmanager
def _content(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise CryptolakeError(f"{path.name} holds {len(names)} files, a dump holds one", "Fetch it again.")
        with archive.open(names[0]) as content:
            yield content
