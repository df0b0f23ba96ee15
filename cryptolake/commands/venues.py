"""Which venue a command may talk to: a home's data are simulated or real, never both."""

from __future__ import annotations

from bronze.venues import SOURCES, source_of
from cryptolake.child import supervised
from cryptolake.processes import with_simulator
from lakehouse.errors import CryptolakeError
from lakehouse.home import Kind, claim_home, home_kind, kind_of
from lakehouse.settings import Settings


def settings_for_venues(settings: Settings, source: str) -> Settings:
    """Return settings whose venues fit the home: the running simulator's for a simulated one.

    Raises:
        CryptolakeError: no such source; the home holds the other kind of data, or its simulator does not run.
    """
    known_source(source)
    if home_kind(settings) == "simulated" and not supervised():
        settings = with_simulator(settings)
    kind = kind_of(venue_urls(settings, source))
    if kind == "real" and home_kind(settings) == "simulated":
        raise CryptolakeError(
            f"The home {settings.home} is simulated and its simulator does not run",
            "Start it with `cryptolake up`, or give another folder with --home for real trades.",
        )
    take_home(settings, kind)
    return settings


def take_home(settings: Settings, kind: Kind) -> None:
    """Mark a new home as simulated or real.

    Raises:
        CryptolakeError: the home holds the other kind of data.
    """
    held = home_kind(settings)
    if held not in (None, kind):
        raise CryptolakeError(
            f"The home {settings.home} holds {held} data", f"It never mixes with {kind} data: give another --home."
        )
    claim_home(settings, kind)


def known_source(source: str) -> None:
    """Refuse a source that nobody collects.

    Raises:
        CryptolakeError: with the ones there are.
    """
    if source not in SOURCES:
        raise CryptolakeError(f"No source {source!r}", f"Sources: {', '.join(SOURCES)}.")


def venue_urls(settings: Settings, source: str) -> list[str]:
    """The addresses a source is collected from."""
    return list(source_of(source).urls(settings))
