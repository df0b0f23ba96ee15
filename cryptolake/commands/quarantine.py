"""The commands of the quarantine: look into it by delta-rs, and try the current rules on what it holds."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptolake.commands.models import ask_or_own
from cryptolake.commands.options import moment_us, settings_of
from cryptolake.commands.reading import OutputFormat
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from lakehouse.lake import Lake

app = typer.Typer(
    name="quarantine", help="Rows that could not be used: list them, show one, try the current rules on them again."
)

Reason = Annotated[str | None, typer.Option(help="A reason, or the part of it before the colon.")]
Venue = Annotated[str | None, typer.Option(help="The market, e.g. binance or coincap-bitso.")]
Since = Annotated[
    int | None, typer.Option(parser=moment_us, metavar="TIME", help="Quarantined since: 2026-11-28T04:00, or 2h ago.")
]
Until = Annotated[int | None, typer.Option(parser=moment_us, metavar="TIME", help="Quarantined before.")]
RuleVersion = Annotated[str | None, typer.Option(help="Version of the rules that quarantined it.")]


class By(StrEnum):
    """What rows are counted by."""

    REASON = "reason"
    VENUE = "venue"
    CHANNEL = "channel"
    HOUR = "hour"
    DAY = "day"
    RULE_VERSION = "rule_version"
    OUTCOME = "outcome"


@app.command("list")
def list_rows(
    context: typer.Context,
    reason: Reason = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    rule_version: RuleVersion = None,
    by: Annotated[By | None, typer.Option(help="Count by this instead of listing rows.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Rows that a replay has dealt with, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows, the newest.")] = 50,
    form: Annotated[OutputFormat, typer.Option("--format", help="table, csv or json (lines)")] = OutputFormat.TABLE,
) -> None:
    """List or count quarantined rows.

    Example: cryptolake quarantine list --by reason
    """
    from serving.quarantine import counted, quarantined
    from serving.sql import render
    from silver.selection import Selection

    settings, selection = settings_of(context), Selection(reason, venue, since, until, rule_version)
    if by is None:
        render(quarantined(settings, selection, everything=everything, limit=limit), form.value)
    else:
        render(counted(settings, selection, by.value, everything=everything), form.value)


@app.command()
def show(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="Kafka topic, as `list` shows it")],
    partition: Annotated[int, typer.Argument(min=0)],
    offset: Annotated[int, typer.Argument(min=0)],
    row: Annotated[int | None, typer.Argument(help="place in the frame; without it, all of the frame's rows")] = None,
    size: Annotated[int, typer.Option("--bytes", min=1, help="Bytes of the payload to show.")] = 2048,
) -> None:
    """Show one quarantined frame: headers, reasons, and its bytes with everything escaped that a terminal would obey.

    Example: cryptolake quarantine show binance.trade 0 4711
    """
    from serving.quarantine import described

    for line in described(settings_of(context), topic, partition, offset, row, size):
        typer.echo(line)


@app.command()
def replay(
    context: typer.Context,
    reason: Reason = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    rule_version: RuleVersion = None,
) -> None:
    """Try the current rules on quarantined rows: what is good now goes to silver.

    Example: cryptolake quarantine replay --reason unknown_symbol
    """
    from silver.selection import Selection

    settings, selection = settings_of(context), Selection(reason, venue, since, until, rule_version)

    def work(lake: Lake, _: Settings) -> dict[str, Any]:
        from cryptolake.replaying import replay_alone

        return dict(replay_alone(lake, selection))

    for line in _report(ask_or_own(settings, "quarantine replay", work, selection.arguments)):
        typer.echo(line)


def _report(told: dict[str, int]) -> list[str]:
    from silver.replay import MEANING, OUTCOMES

    tried = sum(told.get(outcome, 0) for outcome in OUTCOMES)
    lines = [f"{told[outcome]:>9,} {outcome:<9} {MEANING[outcome]}" for outcome in OUTCOMES if told.get(outcome)]
    changed = told.get("marked", 0)
    return [
        f"{tried:,} quarantined rows tried, {changed:,} marked anew" if tried else "no quarantined row to try",
        *lines,
    ]
