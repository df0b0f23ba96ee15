"""The one command for a newcomer."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptolake.commands.options import seconds as as_seconds
from cryptolake.commands.options import settings_of


def demo(
    context: typer.Context,
    seconds: Annotated[
        float | None, typer.Option(parser=as_seconds, help="End by itself after this long: 90, 90s, 5m.")
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again though there is a model.")] = False,
) -> None:
    """Run a simulated market through the whole lake, with a live console.

    Example: cryptolake demo
    """
    from cryptolake.demo.run import run_demo

    run_demo(settings_of(context), seconds=seconds, retrain=retrain)
