"""Commands that write tables: done by the owner of the lake when there is one, else by becoming it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from cryptolake.commands.options import settings_of
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from lakehouse.lake import Lake

OwnWork = Callable[["Lake", Settings], dict[str, Any]]


def train(context: typer.Context) -> None:
    """Train the model on the bars there are, and make it champion.

    Example: cryptolake train
    """
    answer = ask_or_own(settings_of(context), "train", _train)
    typer.echo(answer.get("summary", "trained"))


def predict(context: typer.Context) -> None:
    """Predict on closed minutes that have no prediction yet.

    Example: cryptolake predict
    """
    answer = ask_or_own(settings_of(context), "predict", _predict)
    typer.echo(f"predict: {answer.get('versions', 0)} consumed")


def maintain(context: typer.Context) -> None:
    """Compact all tables, cut their logs and remove files that no kept version needs.

    Example: cryptolake maintain
    """
    answer = ask_or_own(settings_of(context), "maintain", _maintain)
    from cryptolake.maintain import Maintained, show

    show([Maintained.of_json(done) for done in answer.get("tables", [])])


def ask_or_own(
    settings: Settings, command: str, work: OwnWork, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Let the owner of the lake do the work, or become the owner when there is none.

    Args:
        settings: the home.
        command: the owner's name of the work.
        work: does it in this process.
        arguments: what the owner is given; JSON.

    Raises:
        RequestError: the owner could not do it, or did not answer.
        LakeLockedError: owners came and went faster than we could follow.
    """
    from cryptolake.requests import Inbox, OwnerGoneError, lake_owned
    from lakehouse.errors import LakeLockedError

    times = settings.inbox
    if lake_owned(settings):
        typer.echo(f"{command}: asked the owner of {settings.home}, waiting ...", err=True)
        try:
            return Inbox(settings.home).ask(
                command,
                arguments or {},
                timeout_s=times.answer_timeout_s,
                owned=lambda: lake_owned(settings),
                owner_return_s=times.owner_return_s,
            )
        except OwnerGoneError:
            typer.echo(f"{command}: the owner has gone; doing it here", err=True)
    try:
        return _own(settings, work)
    except LakeLockedError:
        if not lake_owned(settings):
            raise
        return Inbox(settings.home).ask(
            command, arguments or {}, timeout_s=times.answer_timeout_s, owned=lambda: lake_owned(settings)
        )


def _own(settings: Settings, work: OwnWork) -> dict[str, Any]:
    from cryptolake.owner import owned_lake

    with owned_lake(settings) as lake:
        return work(lake, settings)


def _train(lake: Lake, settings: Settings) -> dict[str, Any]:
    from ml.training import train as train_champion

    return {"summary": str(train_champion(lake, settings))}


def _predict(lake: Lake, settings: Settings) -> dict[str, Any]:
    from ml.predict import Predict

    return {"versions": Predict(lake).drain()}


def _maintain(lake: Lake, settings: Settings) -> dict[str, Any]:
    from cryptolake.maintain import maintain as tend

    tables = []
    for done in tend(lake):
        typer.echo(f"maintain: {done.table}: {done.before.files:,} files -> {done.after.files:,}", err=True)
        tables.append(done.as_json())
    return {"tables": tables}
