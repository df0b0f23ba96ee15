"""A home: where its tables are, and that it holds simulated data or real data, never both, and says which."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from lakehouse.errors import CryptolakeError
from lakehouse.settings import Settings

Kind = Literal["simulated", "real"]


def lake_folder(settings: Settings) -> Path:
    """The folder that holds the local tables."""
    return settings.home.resolve() / "lake"


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine's loopback."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def kind_of(urls: Iterable[str]) -> Kind:
    """What comes from these URLs: a venue on loopback is a simulated one.

    Raises:
        CryptolakeError: some are on loopback and some are not.
    """
    kinds: set[Kind] = {"simulated" if is_loopback(url) else "real" for url in urls}
    if len(kinds) > 1:
        raise CryptolakeError(
            "A venue's URLs are partly on loopback, partly real", "Set all of them (settings section venues), or none."
        )
    return kinds.pop()


def home_kind(settings: Settings) -> Kind | None:
    """What this home holds; None when it has not been said yet.

    Raises:
        CryptolakeError: home.json cannot be read.
    """
    path = settings.home.resolve() / "home.json"
    try:
        kind: Kind = json.loads(path.read_text(encoding="utf-8"))["kind"]
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError):
        raise CryptolakeError(f"{path} is damaged", 'It holds {"kind": "simulated"} or {"kind": "real"}.') from None
    return kind


def claim_home(settings: Settings, kind: Kind) -> None:
    """Mark a new home as simulated or real, and refuse one of the other kind.

    Raises:
        CryptolakeError: the home holds the other kind.
    """
    path = settings.home.resolve() / "home.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if home_kind(settings) is None:
        beside = path.with_name(f".home.{os.getpid()}.json")
        beside.write_text(json.dumps({"kind": kind}), encoding="utf-8")
        try:
            path.hardlink_to(beside)  # unlike a rename it does not replace what another process wrote first
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    held = home_kind(settings)
    if held != kind:
        raise CryptolakeError(
            f"The home {path.parent} holds {held} data, and the venue's URLs are {kind}",
            "Take another home with --home, or the URLs that belong to this one.",
        )
