"""Reads the corpus: what comes in, byte by byte, and which rows of which table must come of it (see README.md)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from silver.rows import Frame

FOLDER = Path(__file__).parent
GOOD = "good.yml"
CONTROL = "control"
KAFKA_TAKES_BYTES = 1_000_000  # of one message
WHOLE_FRAME = -1
_FIRST_ID = 1_000


@dataclass(frozen=True)
class Source:
    """One folder: a parser, a good frame for it, and the row that the good frame becomes.

    Args:
        name: of the folder.
        collector: whose collector brings such frames; None for bodies of REST and markers.
        headers: of the good frame; names as in `Frame`.
        payload: of the good frame, `$id` in it.
        bodies: what may stand around it, `$good` in it: the frame of its rows, another form. A case has the first.
        table: of silver, without the schema.
        row: what the good frame becomes; columns of the table, decimals as text, times in us.
    """

    name: str
    collector: str | None
    headers: Mapping[str, Any]
    payload: str
    bodies: tuple[str, ...]
    table: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One row that must come out.

    Args:
        table: trades, quarantine, ...
        row: place in the frame, WHOLE_FRAME for all of it.
        reasons: for quarantine, all of them.
        fields: for every other table, all columns that the payload decides.
    """

    table: str
    row: int
    reasons: frozenset[str] = frozenset()
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Case:
    """One frame and what must come of it.

    Args:
        name: unlike all others, folder and file included.
        source: its folder.
        number: stands for `$id`; no other case has it.
        spec: the case as its file has it.
    """

    name: str
    source: Source
    number: int
    spec: Mapping[str, Any]

    @property
    def is_control(self) -> bool:
        """Whether it belongs on the control channel and goes no further than bronze."""
        return bool(self.spec["out"] == CONTROL)

    @property
    def is_huge(self) -> bool:
        """Whether no broker would take it."""
        return sum(int(part) for part in self.spec.get("repeat", ()) if isinstance(part, int)) > KAFKA_TAKES_BYTES

    @property
    def out(self) -> list[Row]:
        """The rows that must come out; none for a control frame."""
        return [] if self.is_control else [self._row(*entry) for entry in self.spec["out"]]

    @property
    def frame(self) -> Frame:
        """The frame, built anew: some are huge."""
        headers = self.spec.get("headers", {}) | ({"channel": CONTROL} if self.is_control else {})
        return _frame(self.source, self.number, headers, self._payload())

    def _row(self, table: str, row: int, content: Any) -> Row:
        if table == "quarantine":
            return Row(table, row, reasons=frozenset(content))
        assert table == self.source.table, f"{self.name}: {table}"
        fields = {**self.source.row, **content}
        return Row(table, row, fields={name: _filled(value, self.number) for name, value in fields.items()})

    def _payload(self) -> bytes:
        if "base64" in self.spec:
            return base64.b64decode(self.spec["base64"], validate=True)
        good = self.source.payload
        for old, new in self.spec.get("change", {}).items():
            assert good.count(old) == 1, f"{self.name}: {old!r} is {good.count(old)} times in the good frame"
            good = good.replace(old, str(new))
        text = str(self.spec.get("payload", self.source.bodies[0])).replace("$good", good)
        parts = iter(self.spec.get("repeat", ()))
        text = text.replace("$repeat", "".join(piece * times for piece, times in zip(parts, parts, strict=True)))
        return text.replace("$id", str(self.number)).encode(self.spec.get("encoding", "utf-8"))


def good_frame(source: Source, number: int, body: int = 0) -> Frame:
    """A good frame of a source; `number` stands for `$id`."""
    text = source.bodies[body].replace("$good", source.payload).replace("$id", str(number))
    return _frame(source, number, {}, text.encode())


def _frame(source: Source, number: int, headers: Mapping[str, Any], payload: bytes) -> Frame:
    given = {"sequence": number, **source.headers, **headers}
    filled = {key: _filled(value, number) for key, value in given.items()}
    if filled["received_us"] is not None:
        filled["received_us"] = int(filled["received_us"])
    return Frame(**filled, payload=payload)


def _filled(value: Any, number: int) -> Any:
    if value == "$id":
        return number
    return value.replace("$id", str(number)) if isinstance(value, str) else value


def read_source(folder: Path) -> Source:
    good = yaml.safe_load((folder / GOOD).read_text(encoding="utf-8"))
    return Source(folder.name, bodies=tuple(good.pop("bodies", ["$good"])), **good)


def _read_all() -> Iterator[Case]:
    number = _FIRST_ID
    for path in sorted(FOLDER.glob("*/*.yml")):
        if path.name == GOOD:
            continue
        source = SOURCES[path.parent.name]
        for spec in yaml.safe_load(path.read_text(encoding="utf-8")):
            unknown = spec.keys() - _KEYS
            assert not unknown, f"{path}: {spec['name']}: {unknown}"
            number += 1
            yield Case(f"{path.parent.name}/{path.stem}: {spec['name']}", source, number, spec)


_KEYS = {"name", "headers", "payload", "base64", "change", "repeat", "encoding", "out"}
SOURCES = {path.parent.name: read_source(path.parent) for path in sorted(FOLDER.glob(f"*/{GOOD}"))}
CASES = list(_read_all())
