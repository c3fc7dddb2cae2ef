"""The local stack's keys of encrypted models: made when asked for, then used until taken away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nightshift.encryption.keys import MODEL_KEY, OLD_MODEL_KEYS, configured_keys
from nightshift.stack.doors import make_doors, model_key_file
from nightshift.stack.environment import model_key_environment
from nightshift.stack.settings import ENCRYPT_MODELS, StackSettings, current_settings


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(tmp_path / "stack")


def started(settings: StackSettings) -> StackSettings:
    settings.make_folders()
    make_doors(settings)
    return settings


def test_nothing_is_encrypted_unless_asked_for(settings: StackSettings) -> None:
    started(settings)
    assert model_key_environment(settings) == {}
    assert not model_key_file(settings).exists()


@pytest.mark.parametrize(("said", "asked"), [("1", True), ("0", False), ("", False)])
def test_the_shell_that_starts_the_stack_asks(
    said: str, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    monkeypatch.setenv(ENCRYPT_MODELS, said)
    assert current_settings().encrypt_models is asked


def test_the_key_is_told_before_it_is_made_and_by_every_later_shell(
    settings: StackSettings,
) -> None:
    """Processes are declared before the folders are made."""
    asked = replace(settings, encrypt_models=True)
    before = model_key_environment(asked)
    started(asked)
    assert before == model_key_environment(settings) == {MODEL_KEY: str(model_key_file(settings))}
    assert configured_keys(before).current is not None


def test_a_key_that_is_moved_away_only_opens(settings: StackSettings) -> None:
    asked = started(replace(settings, encrypt_models=True))
    file = model_key_file(settings)
    old = file.parent / "old" / "first.key"
    old.parent.mkdir()
    file.rename(old)
    assert model_key_environment(settings) == {OLD_MODEL_KEYS: str(old)}
    keys = configured_keys(model_key_environment(started(asked)))
    assert keys.current is not None
    assert len(keys.old) == 1 and keys.old[0].name != keys.current.name


def test_a_lost_key_is_named_in_a_file(settings: StackSettings) -> None:
    folder = model_key_file(settings).parent
    folder.mkdir(parents=True)
    (folder / "lost").write_text("file:0123\n\nfile:4567\n")
    keys = configured_keys(model_key_environment(settings))
    assert keys.lost == {"file:0123", "file:4567"} and keys.old == ()
