"""Keys of encrypted models: named by settings, closed to others, never replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.encryption.keys import (
    KEY_BYTES,
    MODEL_KEY,
    OLD_MODEL_KEYS,
    LostKeyError,
    configured_keys,
    ensure_key_file,
)
from nightshift.errors import BadDefinitionError

ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "keys" / "model.key"
    ensure_key_file(made)
    return made


def test_a_key_that_is_made_is_its_owners_alone(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(file.read_bytes()) == KEY_BYTES
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_key_that_is_there_is_never_replaced(file: Path) -> None:
    before = file.read_bytes()
    ensure_key_file(file)
    assert file.read_bytes() == before


def test_without_a_setting_there_is_no_key() -> None:
    assert configured_keys({}).current is None
    assert configured_keys({MODEL_KEY: "", OLD_MODEL_KEYS: " , "}).old == ()


def test_the_name_follows_the_key_and_not_its_file(file: Path) -> None:
    before = configured_keys({MODEL_KEY: str(file)}).current
    moved = file.rename(file.with_name("old.key"))
    keys = configured_keys({OLD_MODEL_KEYS: f"{moved}, kms:{ARN}"})
    assert before is not None and keys.current is None
    assert [key.name for key in keys.old] == [before.name, f"kms:{ARN}"]
    assert keys.named(before.name, "it") == before


def test_printing_a_key_shows_none_of_it(file: Path) -> None:
    key = configured_keys({MODEL_KEY: str(file)}).current
    assert key is not None
    assert repr(file.read_bytes()) not in repr(key)
    assert file.read_bytes().hex() not in f"{key!r} {key.name}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_reach_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(BadDefinitionError, match=rf"{MODEL_KEY}.*has mode {mode:o}.*chmod 600"):
        configured_keys({MODEL_KEY: str(file)})


@pytest.mark.parametrize("size", [0, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_file_of_another_size_is_no_key(file: Path, size: int) -> None:
    file.write_bytes(b"x" * size)
    with pytest.raises(BadDefinitionError, match=f"has {size} bytes; a key has exactly 32"):
        configured_keys({MODEL_KEY: str(file)})


def test_a_file_that_is_gone_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(BadDefinitionError, match=f"{OLD_MODEL_KEYS} names .*gone.key"):
        configured_keys({OLD_MODEL_KEYS: str(tmp_path / "gone.key")})


@pytest.mark.parametrize("arn", ["", "alias/models", ARN.replace(":key/", ":alias/")])
def test_a_key_of_kms_is_named_by_its_arn_alone(arn: str) -> None:
    with pytest.raises(BadDefinitionError, match="an alias cannot decrypt"):
        configured_keys({MODEL_KEY: f"kms:{arn}"})


def test_a_key_that_this_process_lacks_is_named_with_the_setting(file: Path) -> None:
    keys = configured_keys({MODEL_KEY: str(file)})
    assert keys.current is not None
    says = rf"s3://b/k is encrypted with the key file:0123.*{keys.current.name}.*{MODEL_KEY}"
    with pytest.raises(BadDefinitionError, match=says):
        keys.named("file:0123", "s3://b/k")
    with pytest.raises(BadDefinitionError, match=r"\(it has none\)"):
        configured_keys({}).named("file:0123", "s3://b/k")


def test_that_a_key_is_lost_is_a_persons_word(file: Path) -> None:
    """A key that is merely missing must not let a night pass without its champion."""
    keys = configured_keys({MODEL_KEY: str(file), OLD_MODEL_KEYS: "lost:file:0123, lost:file:4567"})
    assert keys.current is not None and keys.old == ()
    with pytest.raises(LostKeyError, match=r"s3://b/k .*file:0123, which is lost"):
        keys.named("file:0123", "s3://b/k")
    with pytest.raises(BadDefinitionError, match="lost:file:89ab") as missing:
        keys.named("file:89ab", "s3://b/k")
    assert not isinstance(missing.value, LostKeyError)
