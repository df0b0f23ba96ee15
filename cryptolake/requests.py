"""What a command asks of the process that owns the lake, through files in `<home>/inbox/`.

A request is `<id>.request.json`, its answer `<id>.answer.json`. The owner removes a request only after its answer is
written, so an owner that dies at work leaves it to the next one; the asker removes both.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ulid import ULID

from cryptolake.process_id import ProcessId, own_process_id
from cryptolake.run_files import read_json, write_json
from lakehouse.errors import CryptolakeError
from lakehouse.home import lake_folder
from lakehouse.settings import Settings

log = logging.getLogger(__name__)

Handlers = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]

_LOOK_EVERY_S = 0.2
_REQUEST, _ANSWER = ".request.json", ".answer.json"


class RequestError(CryptolakeError):
    """The owner of the lake could not do what it was asked, or did not answer."""


class OwnerGoneError(RequestError):
    """There is no owner (any more) that could answer."""


@dataclass(frozen=True)
class Request:
    """One thing that the owner is asked to do.

    Args:
        id: names the request and its answer; later requests have greater ids.
        command: what to do, the name of a handler.
        arguments: what the handler is given.
    """

    id: str
    command: str
    arguments: dict[str, Any]


class Inbox:
    """Both ends of the inbox of one home.

    Args:
        home: the home's folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home.resolve() / "inbox"

    def pending(self) -> list[Request]:
        """List the requests whose askers still wait, oldest first; what dead askers left is removed."""
        found = []
        for path in sorted(self._folder.glob(f"[!.]*{_REQUEST}")):
            asked = read_json(path)
            asker = ProcessId(int(asked.get("pid", 0)), str(asked.get("started", "")))
            if "command" not in asked or not asker.alive():
                path.unlink(missing_ok=True)
                continue
            found.append(Request(path.name.removesuffix(_REQUEST), asked["command"], asked.get("arguments", {})))
        return found

    def answer(self, request: Request, content: dict[str, Any]) -> None:
        """Answer a request: {"result": {...}}, or {"error": ..., "remedy": ...}."""
        asked = self._folder / f"{request.id}{_REQUEST}"
        if asked.exists():  # else nobody waits any more
            write_json(self._folder / f"{request.id}{_ANSWER}", content)
            asked.unlink(missing_ok=True)

    def serve(self, handlers: Handlers) -> None:
        """Do all that is asked for now.

        A handler that fails fails the request, never the owner.
        """
        for request in self.pending():
            self.answer(request, _done(request, handlers))

    def ask(
        self,
        command: str,
        arguments: dict[str, Any],
        *,
        timeout_s: float,
        owned: Callable[[], bool],
        owner_return_s: float = 30.0,
    ) -> dict[str, Any]:
        """Leave a request, wait for its answer and return the result.

        Args:
            command: what to do.
            arguments: what the owner's handler is given; JSON.
            timeout_s: how long to wait.
            owned: says whether the lake has an owner now.
            owner_return_s: how long an owner may be away, because a supervisor starts it again after a crash.

        Raises:
            OwnerGoneError: the lake has lost its owner while we waited; nobody will answer.
            RequestError: the owner could not do it, or did not answer in time.
        """
        request = Request(str(ULID()), command, arguments)
        me = own_process_id()
        asked, answered = (self._folder / f"{request.id}{suffix}" for suffix in (_REQUEST, _ANSWER))
        write_json(asked, {"command": command, "arguments": arguments, "pid": me.pid, "started": me.started})
        try:
            answer = _await(answered, timeout_s, owned, owner_return_s)
        finally:
            asked.unlink(missing_ok=True)
            answered.unlink(missing_ok=True)
        if "error" in answer:
            raise RequestError(str(answer["error"]).rstrip("."), str(answer.get("remedy", "")))
        result = answer.get("result")
        return result if isinstance(result, dict) else {}


def lake_owned(settings: Settings) -> bool:
    """Say whether some process owns the lake now, by trying the lock that the owner's JVM holds."""
    path = lake_folder(settings) / ".owner"
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # Java's file locks are POSIX record locks; closing lets go of ours.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _done(request: Request, handlers: Handlers) -> dict[str, Any]:
    handler = handlers.get(request.command)
    if handler is None:
        known = ", ".join(sorted(handlers))
        return {"error": f"The owner of the lake cannot {request.command!r}", "remedy": f"It knows: {known}."}
    try:
        return {"result": handler(request.arguments)}
    except CryptolakeError as error:
        return {"error": error.what, "remedy": error.remedy}
    except Exception as error:
        log.exception("request %s (%s) failed", request.id, request.command)
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        return {"error": f"{request.command} failed: {first}", "remedy": "See logs/lake.log of the home."}


def _await(answered: Path, timeout_s: float, owned: Callable[[], bool], owner_return_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    ownerless_since: float | None = None
    while time.monotonic() < deadline:
        if answered.exists():
            return read_json(answered)
        ownerless_since = None if owned() else ownerless_since or time.monotonic()
        if ownerless_since is not None and time.monotonic() - ownerless_since > owner_return_s:
            raise OwnerGoneError("The owner of the lake has gone and nobody answered", "Give the command again.")
        time.sleep(_LOOK_EVERY_S)
    raise RequestError(
        f"The owner of the lake did not answer within {timeout_s:.0f} s", "See logs/lake.log of the home; ask again."
    )
