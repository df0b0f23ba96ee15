"""What every command is given: the home and the target."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings, load_settings


@dataclass(frozen=True)
class Options:
    """The global options, before settings are read."""

    home: Path | None = None
    target: str | None = None


def settings_of(context: typer.Context) -> Settings:
    """Read the settings for this command line.

    Raises:
        SettingsError: a key is unknown or has a value that cannot be used.
    """
    options = context.ensure_object(Options)
    return load_settings(options.target, home=options.home)


@contextmanager
def brokers(settings: Settings) -> Iterator[str]:
    """Yield bootstrap servers; under a supervisor wait for its broker instead of starting one of our own."""
    from cryptolake.broker.local import broker_for, running_broker
    from cryptolake.child import supervised
    from cryptolake.waiting import wait_until

    if supervised() and not settings.kafka.bootstrap_servers:
        patience_s = settings.kafka.broker_start_timeout_s
        if not wait_until(lambda: running_broker(settings) is not None, patience_s):
            raise CryptolakeError(
                f"No broker came up for {settings.home} in {patience_s:.0f} s", "See logs/broker.log of the home."
            )
    with broker_for(settings) as bootstrap_servers:
        yield bootstrap_servers


def moment_us(given: str | int) -> int:
    """Read a time like 2026-11-28, 2026-11-28T04:00 or 2026-11-28T04:00+01:00 (UTC when it names no zone), or 2h ago.

    Returns:
        us since 1970 UTC.

    Raises:
        typer.BadParameter: it is none.
    """
    text = str(given).strip()
    if re.fullmatch(r"\d+(?:\.\d+)?\s*[smhd](?: ago)?", text):
        return time.time_ns() // 1000 - round(seconds(text.removesuffix(" ago")) * 1_000_000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-11-28T04:00 (UTC), or 2h for two hours ago"
        ) from None
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


def seconds(given: str | float) -> float:
    """Read a duration like 30, 30s, 5m, 2h or 1d as seconds.

    Raises:
        typer.BadParameter: it is none.
    """
    text = str(given)  # a default comes as the number it is
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is no duration; write 30, 30s, 5m, 2h or 1d")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
