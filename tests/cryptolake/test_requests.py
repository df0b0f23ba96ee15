"""The inbox between a command and the owner of the lake: both ends as processes and threads, no mocks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lock_holder import held

from cryptolake.requests import Inbox, OwnerGoneError, RequestError, lake_owned
from cryptolake.waiting import wait_until
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

Handler = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Serve the inbox from a thread, as the pipeline does between batches."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def serve(**handlers: Handler) -> None:
        def loop() -> None:
            while not stop.wait(0.02):
                Inbox(tmp_path).serve(handlers)

        threads.append(threading.Thread(target=loop))
        threads[-1].start()

    yield serve
    stop.set()
    for thread in threads:
        thread.join()


def ask(home: Path, command: str = "train", timeout_s: float = 10.0, *, owned: bool = True, **arguments: Any) -> Any:
    return Inbox(home).ask(command, arguments, timeout_s=timeout_s, owned=lambda: owned, owner_return_s=0.5)


def left_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "inbox").iterdir())


def test_the_owner_is_given_the_arguments_and_its_result_comes_back(tmp_path: Path, owner: Callable[..., None]) -> None:
    owner(train=lambda arguments: {"trained on": arguments["days"]})
    assert ask(tmp_path, days=2) == {"trained on": 2}
    assert left_in(tmp_path) == []


def test_a_failure_fails_the_request_and_not_the_owner(tmp_path: Path, owner: Callable[..., None]) -> None:
    def train(arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments["how"] == "badly":
            raise CryptolakeError("Too few rows", "Wait.")
        if arguments["how"] == "unexpectedly":
            raise ZeroDivisionError("by nothing")
        return {}

    owner(train=train)
    with pytest.raises(RequestError, match=r"^Too few rows\. Wait\.$"):
        ask(tmp_path, how="badly")
    with pytest.raises(RequestError, match="train failed: by nothing"):
        ask(tmp_path, how="unexpectedly")
    with pytest.raises(RequestError, match=r"cannot 'dance'.*It knows: train"):
        ask(tmp_path, "dance")
    assert ask(tmp_path, how="well") == {}


def test_an_owner_that_does_not_answer_in_time_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="did not answer within 0 s"):
        ask(tmp_path, timeout_s=0.3)
    assert left_in(tmp_path) == []


def test_an_owner_that_goes_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(OwnerGoneError):
        ask(tmp_path, owned=False)


def test_an_owner_that_dies_at_work_leaves_the_request_to_the_next(tmp_path: Path, owner: Callable[..., None]) -> None:
    answers: list[Any] = []
    asker = threading.Thread(target=lambda: answers.append(ask(tmp_path)))
    asker.start()
    assert wait_until(lambda: bool(Inbox(tmp_path).pending()), 5)
    # The first owner has looked at it, and is killed before it answers.
    owner(train=lambda _: {"by": "the next"})
    asker.join(5)
    assert answers == [{"by": "the next"}]


def test_what_a_killed_asker_left_is_not_done(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cryptolake.requests import Inbox;"
        "Inbox(Path(sys.argv[1])).ask('train', {}, timeout_s=60, owned=lambda: True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as asker:
        assert wait_until(lambda: len(Inbox(tmp_path).pending()) == 1, 20)
        asker.kill()
    assert Inbox(tmp_path).pending() == []
    assert left_in(tmp_path) == []


def test_requests_are_done_in_their_order(tmp_path: Path, owner: Callable[..., None]) -> None:
    done: list[int] = []
    askers = []
    for number in range(5):
        askers.append(threading.Thread(target=lambda number=number: ask(tmp_path, number=number)))
        askers[-1].start()
        assert wait_until(lambda number=number: len(Inbox(tmp_path).pending()) == number + 1, 5)  # type: ignore[misc]
        time.sleep(0.002)  # ids are ordered by the millisecond
    owner(train=lambda arguments: {"done": done.append(arguments["number"])})
    for asker in askers:
        asker.join(5)
    assert done == [0, 1, 2, 3, 4]


def test_a_lake_is_owned_while_another_process_holds_its_lock(settings: Settings) -> None:
    assert not lake_owned(settings)
    path = settings.home / "lake" / ".owner"
    path.parent.mkdir(parents=True)
    path.touch()
    assert not lake_owned(settings)
    with held(path):
        assert lake_owned(settings)
    assert not lake_owned(settings)
