"""Commands that read: by delta-rs, without a JVM, also beside a running pipeline."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cryptolake.commands.options import seconds, settings_of


class OutputFormat(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="a SELECT, or SHOW TABLES")],
    form: Annotated[OutputFormat, typer.Option("--format", help="table, csv or json (lines)")] = OutputFormat.TABLE,
) -> None:
    """Answer a query over the lake.

    Example: cryptolake sql "SELECT * FROM gold_bi.one_minute_bars LIMIT 5"
    """
    settings = settings_of(context)
    from serving import sql as serving_sql

    serving_sql.render(serving_sql.query(settings, query), form.value)


def watch(
    context: typer.Context,
    every: Annotated[float, typer.Option(parser=seconds, help="Time between two tables: 60, 30s, 1m.")] = 60.0,
    times: Annotated[int, typer.Option(min=1, help="How many tables.")] = 10,
    top: Annotated[int, typer.Option(min=0, help="Symbols shown, by amount; 0 shows all.")] = 20,
) -> None:
    """Print the last minute and the six-minute trend, again and again.

    Example: cryptolake watch --every 60 --times 10
    """
    from cryptolake.watch import watch as run_watch

    run_watch(settings_of(context), every_s=every, times=times, top=top)


def doctor(context: typer.Context) -> None:
    """Check what is needed and say how to mend what is missing.

    Example: cryptolake doctor
    """
    from cryptolake.commands.options import Options
    from cryptolake.doctor.console import print_findings
    from cryptolake.doctor.examination import examine

    options = context.ensure_object(Options)
    raise typer.Exit(print_findings(examine(options.home, options.target)))
