"""What a spool knows beyond its records: how far Kafka has it, and which ids it ever held."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple

from bronze.coverage import Coverage
from bronze.files import write_atomically
from bronze.record import Position

log = logging.getLogger(__name__)
# Room for a state of some thousand symbols on a disk that is full otherwise.
_BALLAST_BYTES = 262_144


class State(NamedTuple):
    """One state of a spool.

    Args:
        acked: Kafka has everything before this place.
        covered: the coverage takes account of everything before this place, which is on the disk.
        coverage: the ids held.
    """

    acked: Position
    covered: Position
    coverage: Coverage


class StateFile:
    """`state.json` of a spool, with a ballast file that is given up when the disk is full.

    Without the ballast a full disk could not be cleared: segments are deleted only after the state was written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"
        self._ballast = folder / ".ballast"

    def load(self) -> State:
        """Read the state; a spool without one begins anew."""
        try:
            state = json.loads(self._path.read_bytes())
            return State(Position(*state["acked"]), Position(*state["covered"]), Coverage.restore(state["coverage"]))
        except FileNotFoundError:
            pass
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning(
                "%s is damaged (%s): the spool is published again, ids missed before are unknown", self._path, error
            )
        return State(Position(0, 0), Position(0, 0), Coverage())

    def save(self, acked: Position, covered: Position, coverage: dict[str, object]) -> None:
        """Replace the state.

        Raises:
            OSError: it cannot be written, not even with the ballast's room; the old one stays.
        """
        content = json.dumps({"acked": acked, "covered": covered, "coverage": coverage}).encode()
        try:
            write_atomically(self._path, content, durable=True)
        except OSError:
            self._ballast.unlink(missing_ok=True)
            write_atomically(self._path, content, durable=True)

    def load_ballast(self) -> None:
        """Take room on the disk while there is some."""
        try:
            if not self._ballast.exists():
                self._ballast.write_bytes(b"\0" * _BALLAST_BYTES)
        except OSError:
            self._ballast.unlink(missing_ok=True)
