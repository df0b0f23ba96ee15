"""Coverage-guided fuzzing of the parsers: `python -m fuzz SOURCE [flags of libFuzzer]`, SOURCE a folder of the corpus.

Every input is the payload of a frame with the headers of that source's good frame. A finding is an input for which a
parser raises, that vanishes, that is refused without a documented reason, or that silver and the audit read two ways;
its payload is printed, ready for an entry of the corpus. What is worth trying again stays in `.fuzz/SOURCE`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["silver", "cryptolake.audit"]):
    from corpus.cases import CASES, SOURCES, Source, good_frame
    from corpus.mutations import VALUES
    from corpus.readings import fault

_LONGEST_SEED_BYTES = 4_096
_ID = 7
_FOLDER = Path(__file__).resolve().parents[2] / ".fuzz"


class Finding(Exception):
    """An input that a parser must not treat so."""


def main(arguments: list[str]) -> int:
    """Fuzz one source, or say which there are."""
    if len(arguments) < 2 or arguments[1] not in SOURCES:
        print(f"usage: python -m fuzz {{{','.join(SOURCES)}}} [flags of libFuzzer]", file=sys.stderr)
        return 2
    source = SOURCES[arguments[1]]
    folder = _FOLDER / source.name
    kept, seeds, words = folder / "kept", folder / "seeds", folder / "words"
    kept.mkdir(parents=True, exist_ok=True)
    _write_seeds(source, seeds)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in _words(source)))
    flags = [f"-dict={words}", f"-artifact_prefix={folder}/", *arguments[2:]]
    atheris.Setup([arguments[0], *flags, str(kept), str(seeds)], lambda payload: _look_at(source, payload))
    atheris.Fuzz()
    return 0


def _look_at(source: Source, payload: bytes) -> None:
    frame = replace(good_frame(source, _ID), payload=payload)
    try:
        found = fault(frame)
    except Exception:
        print(f"PAYLOAD {payload!r}", file=sys.stderr)
        raise
    if found is not None:
        raise Finding(f"{found}\nPAYLOAD {payload!r}")


def _write_seeds(source: Source, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "good").write_bytes(good_frame(source, _ID).payload)
    cases = (case for case in CASES if case.source is source and not case.is_huge)
    for number, case in enumerate(cases):
        payload = case.frame.payload
        if len(payload) <= _LONGEST_SEED_BYTES:
            (folder / str(number)).write_bytes(payload)


def _words(source: Source) -> list[str]:
    fields = re.findall(r'"[^"]*":?', source.payload)
    return sorted({*fields, *(value for value in VALUES if len(value) < 60)})


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
