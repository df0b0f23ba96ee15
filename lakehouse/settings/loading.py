"""Reads the tree: conf/base.yml, then conf/<target>.yml, then the environment, then flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from typing import Any, cast

import yaml
from pydantic import ValidationError

from lakehouse.errors import SettingsError
from lakehouse.settings.tree import ENV_PREFIX, Settings

# The parser in C, where there is one: 5 instead of 37 ms in every process.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_settings(target: str | None = None, **flags: Any) -> Settings:
    """Read the tree for one target.

    Args:
        target: the name of a file in conf/; None takes CRYPTOLAKE__TARGET, else "local".
        flags: top-level values that win over files and environment; None means not given.

    Raises:
        SettingsError: a key is unknown, missing, or has a value of the wrong kind.
    """
    _refuse_unknown_environment(os.environ)
    target = target or os.environ.get(f"{ENV_PREFIX}TARGET") or "local"
    files = _merged(_conf_file("base"), _conf_file(target))
    home = os.environ.get("CRYPTOLAKE_HOME")
    given = {"home": home} if home else {}
    given |= {key: value for key, value in flags.items() if value is not None}
    given["target"] = target
    try:
        return Settings(flags=given, files=files)  # type: ignore[call-arg]
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise SettingsError(f"Settings for target {target!r}: {problems}", "Mend conf/ or the environment.") from None


def _conf_file(name: str) -> Mapping[str, Any]:
    path = resources.files("conf") / f"{name}.yml"
    if not path.is_file():
        known = sorted(
            p.name.removesuffix(".yml") for p in resources.files("conf").iterdir() if p.name.endswith(".yml")
        )
        raise SettingsError(f"No settings for target {name!r}", f"Targets in conf/: {', '.join(known)}.")
    return cast(Mapping[str, Any], yaml.load(path.read_text(encoding="utf-8"), Loader=_SafeLoader) or {})  # noqa: S506


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both_maps = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(cast(Mapping[str, Any], below), value) if both_maps else value
    return result


def _refuse_unknown_environment(environment: Mapping[str, str]) -> None:
    for name in environment:
        section = name.upper().removeprefix(ENV_PREFIX).split("__")[0].lower()
        if name.upper().startswith(ENV_PREFIX) and section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise SettingsError(f"{name} names no setting", f"Sections: {known}.")
