"""Settings: files, then environment, then flags; unknown keys fail; secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from lakehouse.errors import SettingsError
from lakehouse.settings import load_settings


def test_environment_wins_over_files_and_flags_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().lake.lateness_s == 5
    monkeypatch.setenv("CRYPTOLAKE__LAKE__LATENESS_S", "9")
    monkeypatch.setenv("CRYPTOLAKE_HOME", "/from/environment")
    assert load_settings().lake.lateness_s == 9
    assert load_settings().home == Path("/from/environment")
    assert load_settings(home=Path("/from/flag")).home == Path("/from/flag")


@pytest.mark.parametrize("name", ["CRYPTOLAKE__LAKE__LATENES_S", "CRYPTOLAKE__LAEK__LATENESS_S"])
def test_an_unknown_key_fails_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "9")
    with pytest.raises(SettingsError, match=r"(?i)latenes_s|laek"):
        load_settings()


def test_a_wrong_value_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE__KAFKA__PARTITIONS", "three")
    with pytest.raises(SettingsError, match=r"kafka\.partitions"):
        load_settings()


def test_an_unknown_target_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="local"):
        load_settings(target="moon")


def test_a_secret_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE__KAFKA__SASL_PASSWORD", "hunter2")
    settings = load_settings()
    assert "hunter2" not in f"{settings!r} {settings.model_dump_json()}"
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().lake.lateness_s = 1  # type: ignore[misc]
