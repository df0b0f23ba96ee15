"""What happens in the demo, in its order: processes come up, candles come in, a model is trained, minutes close."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from bronze.venues import SOURCES
from cryptolake.children import ChildSpec
from cryptolake.demo.snapshot import Snapshot
from cryptolake.demo.stages import Stage, Stages
from cryptolake.processes import collector_name, simulated_backfill, simulator_environment
from cryptolake.requests import Inbox, RequestError, lake_owned
from cryptolake.supervisor import Supervisor
from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

MARKET, BROKER, LAKE, COLLECTORS = "market", "broker", "lake", "collectors"
CANDLES, BARS, MODEL, MINUTE, PREDICTIONS = "candles", "bars", "model", "live minute", "predictions"
OTHERS = "more sources"
# What trains the model and shows a market move; all else would take the same cores in the first minute.
FIRST_SOURCES = ("binance", "coincap")
LATER_SOURCES = tuple(source for source in SOURCES if source not in FIRST_SOURCES)
_HOPELESS_FAILURES = 5
_MINUTES_A_DAY = 1440


class Course:
    """Follows the demo and moves it on; call `tick` several times a second.

    Args:
        settings: the home.
        supervisor: started, with the processes of the home.
        later: processes that are added once there are predictions; collectors and what goes with them.
        retrain: train once more though there is a champion.
    """

    def __init__(
        self, settings: Settings, supervisor: Supervisor, later: Sequence[ChildSpec], *, retrain: bool
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._later = later
        self._retrain = retrain
        self._began = time.monotonic()
        self._first: Snapshot | None = None
        self._training: threading.Thread | None = None
        self._trained: str | None = None
        self._problem: str | None = None
        days = settings.demo.backfill_days
        symbols = settings.simulator.symbols
        self.stages = Stages(
            [
                Stage(MARKET, f"simulated exchange, {symbols} symbols"),
                Stage(BROKER, "Kafka, on this machine"),
                Stage(COLLECTORS, "websockets and REST to spool to Kafka"),
                Stage(LAKE, "Spark and Delta tables"),
                Stage(CANDLES, f"{days} days of candles by REST"),
                Stage(BARS, "one-minute bars"),
                Stage(MODEL, "random forest: up or down in six minutes"),
                Stage(MINUTE, "first minute from live trades"),
                Stage(PREDICTIONS, "first predictions"),
                Stage(OTHERS, "by websocket and by polling"),
            ],
            self.clock_s,
        )

    def clock_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def tick(self, snapshot: Snapshot) -> None:
        """Move on by what can be seen now.

        Raises:
            CryptolakeError: a process that all others need does not come up.
        """
        if self._first is None:
            self._first = snapshot
        self._processes()
        self._candles(snapshot)
        self._model(snapshot)
        self._live(snapshot)
        self._others()

    def _processes(self) -> None:
        told = {MARKET: "simulator", BROKER: "broker", LAKE: "lake"}
        for stage, name in told.items():
            if name in self._supervisor.children:
                self._follow(stage, name)
            else:
                self.stages.note(stage, "done", f"{self._settings.kafka.bootstrap_servers}")
        self._collectors(COLLECTORS, FIRST_SOURCES)

    def _others(self) -> None:
        names = {spec.name for spec in self._later}
        if self.stages[PREDICTIONS].over and not self._supervisor.children.keys() & names:
            for spec in self._later:
                self._supervisor.add(spec)
        self._collectors(OTHERS, LATER_SOURCES)

    def _collectors(self, stage: str, sources: Sequence[str]) -> None:
        children, names = self._supervisor.children, [collector_name(source) for source in sources]
        states = {children[name].state for name in names if name in children}
        failing = [problem for name in names if (problem := self._problem_of(name))]
        if failing:
            self.stages.note(stage, "failing", failing[0])
        elif states == {"ready"}:
            self.stages.note(stage, "done", ", ".join(sources))
        else:
            self.stages.note(stage, "working" if "running" in states else "waiting")

    def _follow(self, stage: str, name: str) -> None:
        child = self._supervisor.children[name]
        problem = self._problem_of(name)
        if problem:
            self.stages.note(stage, "failing", problem)
            if child.failures >= _HOPELESS_FAILURES and self.stages[stage].done_at_s is None:
                path = self._supervisor.log_path(name)
                raise CryptolakeError(
                    f"{name} failed {child.failures} times: {child.problem.removeprefix('cryptolake: ').rstrip('.')}",
                    f"See {path}, or run `cryptolake doctor`.",
                )
        elif child.state == "ready":
            self.stages.note(stage, "done")
        else:
            self.stages.note(stage, "waiting" if child.state == "waiting" else "working")

    def _problem_of(self, name: str) -> str:
        child = self._supervisor.children.get(name)
        if child is None or child.state not in ("backing off", "failed"):
            return ""
        return f"{child.state}, {child.restarts} restarts: {child.problem}"

    def _candles(self, snapshot: Snapshot) -> None:
        if self._has_champion(snapshot) and CANDLES not in self._supervisor.children and not self._wanted():
            self.stages.note(CANDLES, "skipped", "there from the last time")
            self.stages.note(BARS, "skipped", f"{snapshot.candle_bars:,} there from the last time")
            return
        backfill = self._supervisor.children.get("backfill")
        if backfill is None:
            # Candles are asked for as soon as there is a market to ask and a broker to bring them to.
            if simulator_environment(self._settings) and self.stages[BROKER].over:
                self._supervisor.add(simulated_backfill(self._settings, self._settings.demo.backfill_days))
                self.stages.note(CANDLES, "working")
            return
        problem = self._problem_of("backfill")
        if problem:
            self.stages.note(CANDLES, "failing", problem)
        elif backfill.state == "done":
            self.stages.note(CANDLES, "done", f"{self._expected():,} candles")
        else:
            self.stages.note(CANDLES, "working")
        if snapshot.candle_bars:
            share = snapshot.candle_bars / self._expected()
            done = backfill.state == "done" and share >= self._settings.demo.candle_share
            self.stages.note(BARS, "done" if done else "working", f"{snapshot.candle_bars:,} bars from candles")

    def _model(self, snapshot: Snapshot) -> None:
        if self._trained is not None:
            self.stages.note(MODEL, "done", self._trained)
        elif self._problem is not None:
            self.stages.note(MODEL, "failing", self._problem)
        elif self._has_champion(snapshot) and not self._wanted():
            self.stages.note(MODEL, "skipped", "champion of the last time")
        elif self._training is None and self.stages[BARS].over:
            self._training = threading.Thread(target=self._train, name="train", daemon=True)
            self._training.start()
            self.stages.note(MODEL, "working", "training")

    def _live(self, snapshot: Snapshot) -> None:
        first = self._first or snapshot
        if snapshot.live_bars > first.live_bars:
            self.stages.note(MINUTE, "done", f"{snapshot.live_bars:,} bars from trades")
        elif self.stages[LAKE].over and self.stages[COLLECTORS].over:
            self.stages.note(MINUTE, "working", "a minute closes 5 s after its end")
        predicted = snapshot.rows_of("gold.predictions")
        if predicted > first.rows_of("gold.predictions"):
            self.stages.note(PREDICTIONS, "done", f"{predicted:,} predictions")
        elif self.stages[MODEL].over:
            self.stages.note(PREDICTIONS, "working", "with the next minute that closes")

    def _has_champion(self, snapshot: Snapshot) -> bool:
        # Training writes its scores last.
        return bool(snapshot.test_scores)

    def _wanted(self) -> bool:
        return self._retrain or self._training is not None or "backfill" in self._supervisor.children

    def _expected(self) -> int:
        return self._settings.simulator.symbols * self._settings.demo.backfill_days * _MINUTES_A_DAY

    def _train(self) -> None:
        inbox, patience_s = Inbox(self._settings.home), self._settings.inbox.answer_timeout_s
        try:
            for command in ("train", "predict"):
                answer = inbox.ask(
                    command,
                    {},
                    timeout_s=patience_s,
                    owned=lambda: lake_owned(self._settings),
                    owner_return_s=patience_s,
                )
                if command == "train":
                    self._trained = str(answer.get("summary", "trained")).splitlines()[0]
        except RequestError as error:
            self._problem = str(error)
