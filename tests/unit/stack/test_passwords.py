"""Secrets: generated once, for their owner's eyes only."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from nightshift.errors import BadDefinitionError
from nightshift.stack.passwords import Passwords, load_or_create, write_private


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    load_or_create(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_passwords_stay_the_same(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    assert load_or_create(file) == load_or_create(file)


def test_no_two_stacks_share_a_password(tmp_path: Path) -> None:
    one, two = load_or_create(tmp_path / "one"), load_or_create(tmp_path / "two")
    assert not set(asdict(one).values()) & set(asdict(two).values())


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_kept(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    before = asdict(load_or_create(file))
    del before["agent_token"]
    file.write_text(json.dumps(before))
    after = load_or_create(file)
    assert after.agent_token
    assert asdict(after).items() >= before.items()


def test_a_damaged_file_is_an_error_and_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    file.write_text("{")
    with pytest.raises(BadDefinitionError, match="not valid JSON"):
        load_or_create(file)
    assert file.read_text() == "{"


def test_printing_passwords_shows_none() -> None:
    passwords = Passwords()
    assert not any(value in repr(passwords) for value in asdict(passwords).values())


def test_an_open_file_is_closed_to_others_when_it_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o600)
