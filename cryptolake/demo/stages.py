"""The stages of the demo as they come up, with their times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StageState = Literal["waiting", "working", "done", "skipped", "failing"]


@dataclass
class Stage:
    """One thing that comes up.

    Args:
        name: what it is called on the console.
        meaning: what it is, in a few words.
        state: how far it is.
        detail: what there is to see of it now.
        done_at_s: when it was done, in seconds from the start of the demo.
    """

    name: str
    meaning: str
    state: StageState = "waiting"
    detail: str = ""
    done_at_s: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing is to be waited for any more."""
        return self.state in ("done", "skipped")


class Stages:
    """All stages, in the order in which they are shown.

    Args:
        stages: the stages.
        clock_s: seconds since the start of the demo.
    """

    def __init__(self, stages: list[Stage], clock_s: Callable[[], float]) -> None:
        self.all = stages
        self._clock_s = clock_s
        self._by_name = {stage.name: stage for stage in stages}

    def __getitem__(self, name: str) -> Stage:
        return self._by_name[name]

    @property
    def over(self) -> bool:
        """Whether all are done or skipped."""
        return all(stage.over for stage in self.all)

    def note(self, name: str, state: StageState, detail: str | None = None) -> None:
        """Note how far a stage is; what is done stays done, but may fail again."""
        stage = self[name]
        if detail is not None:
            stage.detail = detail
        elif stage.state == "failing" != state:
            stage.detail = ""
        if stage.over and state in ("waiting", "working"):
            return
        if state in ("done", "skipped") and stage.done_at_s is None:
            stage.done_at_s = self._clock_s()
        stage.state = state
